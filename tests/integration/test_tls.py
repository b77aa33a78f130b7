"""TLS to NATS, Postgres and Redis: with the right authority it works, without it nothing is said to the server."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from domain.errors import UnavailableError
from streams.connection import connect, ping
from streams.endpoint import Endpoint
from tests.servers.secured import Secured, secured_nats
from tests.servers.tls import Certificates, behind_tls
from worker.adapters.postgres.pool import open_pool
from worker.adapters.redis.client import asking, open_client
from worker.migrations.runner import status
from worker.nkey_files import make_key

BOUND_S = 10.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Certificates(tmp_path_factory.mktemp("others")).ca_file


@pytest.fixture(scope="module")
def verifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Give a server that wants a client's certificate too."""
    with secured_nats(tmp_path_factory.mktemp("nats"), verify=True) as found:
        yield found


class TestNats:
    async def test_a_certificate_and_a_key_let_one_in(self, verifying: Secured) -> None:
        client = await connect(_with_certificate(verifying), "test", is_patient=False)
        await ping(client, BOUND_S)
        await client.close()

    async def test_without_a_certificate_where_one_is_wanted_there_is_no_connection(self, verifying: Secured) -> None:
        with pytest.raises(UnavailableError):
            await connect(verifying.endpoint("alice"), "test", is_patient=False)

    async def test_a_server_of_another_authority_is_not_trusted(self, verifying: Secured, other_ca: Path) -> None:
        where = _with_certificate(verifying)
        stranger = Endpoint(
            where.url, where.nkey_file, ca_file=other_ca, cert_file=where.cert_file, key_file=where.key_file
        )
        with pytest.raises(UnavailableError, match="certificate"):
            await connect(stranger, "test", is_patient=False)

    async def test_without_a_key_nobody_is_let_in(self, verifying: Secured) -> None:
        where = _with_certificate(verifying)
        nobody = dataclasses.replace(where, nkey_file=None)
        with pytest.raises(UnavailableError, match="refuses a connection without a key"):
            await connect(nobody, "test", is_patient=False)

    async def test_a_key_that_nobody_has_is_refused_and_its_file_named(
        self, verifying: Secured, tmp_path: Path
    ) -> None:
        key = tmp_path / "stranger.nk"
        make_key(key)
        where = _with_certificate(verifying)
        stranger = dataclasses.replace(where, nkey_file=key)
        with pytest.raises(UnavailableError, match=r"refuses the identity of .*stranger\.nk"):
            await connect(stranger, "test", is_patient=False)

    async def test_a_server_without_tls_is_told_nothing_where_tls_is_demanded(self, nats_url: str) -> None:
        plain = nats_url.replace("nats://", "tls://")
        with pytest.raises(UnavailableError, match="does not offer TLS"):
            await connect(plain, "test", is_patient=False)

    async def test_a_certificate_that_cannot_be_read_is_said(self, verifying: Secured, tmp_path: Path) -> None:
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        with pytest.raises(UnavailableError, match=r"broken\.pem"):
            await connect(Endpoint(verifying.url, ca_file=broken), "test", is_patient=False)


def _with_certificate(server: Secured) -> Endpoint:
    folder = server.folder
    return dataclasses.replace(
        server.endpoint("alice"), cert_file=folder / "client.pem", key_file=folder / "client.key"
    )


class TestPostgres:
    @pytest.fixture
    async def address(self, database: str, certificates: Certificates) -> AsyncIterator[str]:
        async with behind_tls(database, certificates, is_postgres=True) as place:
            yield _at(database, place)

    async def test_the_pool_and_the_migrations_go_by_tls(self, address: str, certificates: Certificates) -> None:
        dsn = f"{address}?sslmode=verify-full&sslrootcert={certificates.ca_file}"
        assert (await status(dsn)).is_current
        pool = await open_pool(dsn, size_max=4, timeout_s=BOUND_S, connect_timeout_s=BOUND_S)
        await pool.ping(BOUND_S)
        await pool.close()

    async def test_a_server_of_another_authority_is_not_trusted(self, address: str, other_ca: Path) -> None:
        dsn = f"{address}?sslmode=verify-full&sslrootcert={other_ca}"
        with pytest.raises(UnavailableError) as pool_error:
            await open_pool(dsn, size_max=4, timeout_s=BOUND_S, connect_timeout_s=BOUND_S)
        with pytest.raises(UnavailableError) as migration_error:
            await status(dsn)
        password = urlsplit(address).password
        assert password
        assert password not in f"{pool_error.value}{migration_error.value}"

    async def test_a_server_without_tls_is_not_talked_to(self, database: str, certificates: Certificates) -> None:
        dsn = f"{database}?sslmode=verify-full&sslrootcert={certificates.ca_file}"
        with pytest.raises(UnavailableError):
            await status(dsn)


class TestRedis:
    @pytest.fixture
    async def address(self, redis_url: str, certificates: Certificates) -> AsyncIterator[str]:
        async with behind_tls(redis_url, certificates) as place:
            yield _at(redis_url, place).replace("redis://", "rediss://")

    async def test_values_go_by_tls(self, address: str, certificates: Certificates) -> None:
        async with open_client(address, BOUND_S, certificates.ca_file) as client, asking(None):
            await client.set("key", "value")
            assert await client.get("key") == b"value"

    async def test_a_server_of_another_authority_is_not_trusted(self, address: str, other_ca: Path) -> None:
        async with open_client(address, BOUND_S, other_ca) as client:
            with pytest.raises(UnavailableError):
                async with asking(None):
                    await client.ping()


def _at(url: str, place: str) -> str:
    """Put a URL's host and port elsewhere; user and password stay."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@{place}" if user else place).geturl()
