"""The NATS server as it is shipped for production: its own configuration, identities with keys, TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trustme

from streams.endpoint import Endpoint
from streams.permissions import inbox_prefix
from streams.topology import TopologySettings
from worker.embedded import binaries
from worker.embedded.ports import HOST, free_port
from worker.identities import Identity, read_identities
from worker.nats_accounts import Accounts, accounts_file, accounts_of, subscribers_of
from worker.nkey_files import make_key, public_key

CONFIG: Final = Path(__file__).parents[2] / "deploy" / "nats" / "nats-server.conf"
WAIT_S: Final = 20.0
# One identity for each role, and those beside whom it must not be able to do something.
IDENTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "worker-data": ("worker-data",),
    "worker-control": ("worker-control",),
    "engineer-data": ("engineer-data",),
    "engineer-control": ("engineer-control",),
    "alice": ("author",),
    "bob": ("approver",),
    "carol": ("operator",),
    "dave": ("viewer",),
    "root": ("admin",),
    "checkout": ("publisher",),
    "billing": ("subscriber",),
    "crm": ("subscriber",),
    "system": ("system",),
}
# Users that the configuration is given beside its own, who hear everything in a plane and can do nothing.
WITNESSES: Final = {"witness-data": "DATA", "witness-control": "CONTROL"}
FACT_TYPES: Final = {"checkout": ["order.>"]}


@dataclass(slots=True)
class Secured:
    """A running server, and the files that clients need."""

    folder: Path
    port: int
    monitor: int
    identities: tuple[Identity, ...]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"tls://{HOST}:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def key(self, name: str) -> Path:
        """Return the file of an identity's seed."""
        return self.folder / f"{name}.nk"

    def endpoint(self, name: str) -> Endpoint:
        """Return how an identity connects."""
        return Endpoint(self.url, self.key(name), ca_file=self.ca_file, inbox_prefix=inbox_prefix(name))

    @property
    def settings(self) -> TopologySettings:
        return TopologySettings(subscribers=subscribers_of(self.identities))

    def reload(self) -> None:
        """Have the server read its configuration again."""
        done = subprocess.run(  # the server's own program
            [str(binaries.nats_server()), "--signal", f"reload={self.process.pid}"], check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr

    def log(self) -> str:
        return (self.folder / "nats.log").read_text()


def write_identities(folder: Path, held: Mapping[str, tuple[str, ...]] = IDENTITIES) -> Path:
    """Make keys where there are none and write the file that says who is who."""
    lines: list[str] = []
    for name, roles in held.items():
        seed = folder / f"{name}.nk"
        lines += [f"[identities.{name}]", f"roles = {json.dumps(roles)}", f'keys = ["{_key(seed)}"]']
        if name in FACT_TYPES:
            lines.append(f"fact_types = {json.dumps(FACT_TYPES[name])}")
    path = folder / "identities.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _key(seed: Path) -> str:
    return public_key(seed) if seed.exists() else make_key(seed)


@contextmanager
def secured_nats(
    folder: Path, *, loosen: Callable[[Accounts], None] | None = None, verify: bool = False
) -> Iterator[Secured]:
    """Run the shipped configuration for the length of a block; ``loosen`` spoils it, for tests of the tests."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert(HOST, "localhost")
    server.private_key_pem.write_to_path(folder / "server.key")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    client = authority.issue_cert("client@rulestream.test")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    identities = read_identities(write_identities(folder))
    shutil.copy(CONFIG, folder / CONFIG.name)
    accounts = accounts_of(identities, TopologySettings())
    for name, account in WITNESSES.items():
        permissions = {"publish": {"deny": [">"]}, "subscribe": {"allow": [">"]}}
        accounts[account]["users"].append({"nkey": _key(folder / f"{name}.nk"), "permissions": permissions})
    if loosen is not None:
        loosen(accounts)
    (folder / "accounts.conf").write_text(accounts_file(accounts))
    port, monitor = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_SERVER_NAME": "secured",
        "NATS_LISTEN": f"{HOST}:{port}",
        "NATS_MONITOR": f"{HOST}:{monitor}",
        "NATS_STORE_DIR": str(folder / "store"),
        "NATS_STORE_BYTES": "1GB",
        "NATS_TLS_CERT": str(folder / "server.pem"),
        "NATS_TLS_KEY": str(folder / "server.key"),
        "NATS_TLS_CA": str(folder / "ca.pem"),
        "NATS_TLS_VERIFY": "true" if verify else "false",
    }
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(  # the server's own program
            [str(binaries.nats_server()), "-c", str(folder / CONFIG.name)], env=environment, stdout=log, stderr=log
        )
    found = Secured(folder, port, monitor, identities, process)
    try:
        _await(found)
        yield found
    finally:
        process.terminate()
        process.wait()


def _await(server: Secured) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        assert server.process.poll() is None, server.log()
        try:
            with urllib.request.urlopen(f"http://{HOST}:{server.monitor}/healthz", timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.02)
