"""Real servers for tests: from containers where a Docker engine answers, else from the wheels.

Loaded with ``pytest_plugins = ["tests.servers.fixtures"]`` in ``tests/conftest.py``. ``RULESTREAM_TEST_SERVERS`` set to
``embedded`` or ``containers`` decides in the engine's place.

None of the fixtures belongs to an event loop: a test may run in any.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tests.servers import operations
from tests.servers.engine import engine_answers
from tests.servers.operations import Prepare, run_apart
from worker.embedded import EmbeddedStack, postgres

# Dropping a database just used makes ext4 slow at creating the next files (it avoids inodes freed in the last
# seconds), 250 ms instead of 50 for each test, so databases are dropped together when there are this many.
DATABASES_MAX = 100


@dataclass(slots=True)
class Servers:
    """Where the servers of this session are."""

    kind: Literal["containers", "embedded"]
    nats_url: str
    postgres_dsn: str
    redis_url: str
    stack: EmbeddedStack | None = None  # for the embedded ones: to look at; tests of faults start a stack of their own
    used: list[str] = field(default_factory=list)  # databases that no test needs any more


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Give the session's servers, started when the first test asks for them."""
    wanted = os.environ.get("RULESTREAM_TEST_SERVERS") or ("containers" if engine_answers() else "embedded")
    if wanted == "containers":
        from tests.servers import containers

        with containers.running() as found:
            run_apart(operations.await_answers(found.nats, found.postgres, found.redis))
            yield Servers("containers", found.nats, found.postgres, found.redis)
        return
    if wanted != "embedded":
        raise pytest.UsageError(f"RULESTREAM_TEST_SERVERS is {wanted!r}, neither 'embedded' nor 'containers'")
    stack = EmbeddedStack()
    with pytest.MonkeyPatch.context() as patch:
        for setting in ("fsync", "full_page_writes"):  # its data is thrown away, also where the machine loses power
            patch.setitem(postgres.SETTINGS, setting, "off")
        addresses = run_apart(stack.start())
    try:
        yield Servers("embedded", addresses.nats, addresses.postgres, addresses.redis, stack)
    finally:
        run_apart(_end(stack))


async def _end(stack: EmbeddedStack) -> None:
    """Stop the servers whose data nobody wants: an orderly end would first sync two hundred databases to disk."""
    await stack.postgres.kill()
    await stack.stop()


@pytest.fixture(scope="session")
def prepare_template() -> Prepare | None:
    """Give what fills the template of each test's database: override it in a conftest.

    It is called once with the template's DSN, may be async, and must close its connections.
    """
    return None


@pytest.fixture(scope="session")
def database_template(servers: Servers, prepare_template: Prepare | None) -> str:
    """Give the name of the database that each test's own is copied from."""
    return run_apart(operations.make_template(servers.postgres_dsn, prepare_template))


@pytest.fixture
def make_database(servers: Servers, database_template: str) -> Iterator[Callable[[], str]]:
    """Give a function that makes one more fresh database and gives its DSN, for tests that need several."""
    made: list[str] = []

    def make() -> str:
        if len(servers.used) >= DATABASES_MAX:
            drops = [f"DROP DATABASE {name} WITH (FORCE)" for name in servers.used]
            run_apart(operations.execute(servers.postgres_dsn, *drops))
            servers.used.clear()
        name = f"test_{secrets.token_hex(6)}"
        run_apart(operations.execute(servers.postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {database_template}"))
        made.append(name)
        return operations.with_database(servers.postgres_dsn, name)

    yield make
    servers.used.extend(made)


@pytest.fixture
def database(make_database: Callable[[], str]) -> str:
    """Give the DSN of a fresh database, a copy of the template."""
    return make_database()


@pytest.fixture(scope="session")
def compiler_for_all() -> Iterator[None]:
    """Let the workers that tests run in their own process share a compiler's process."""
    from tests.servers.compiling import CompilerForAll

    shared = CompilerForAll()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.service.CompilerProcess", lambda: shared)
        yield
    shared.close()


@pytest.fixture
def nats_url(servers: Servers, compiler_for_all: None) -> str:
    """Give the URL of a NATS server without any stream."""
    run_apart(operations.delete_streams(servers.nats_url))
    return servers.nats_url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Give the URL of an empty Valkey."""
    run_apart(operations.flush(servers.redis_url))
    return servers.redis_url


@pytest.fixture
def free_folder() -> Iterator[Path]:
    """Give a folder that every user can reach and, as root, that an ordinary user owns."""
    folder = Path(tempfile.mkdtemp(prefix="rulestream-test-"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    yield folder
    shutil.rmtree(folder)
