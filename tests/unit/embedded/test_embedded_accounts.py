from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.embedded import EmbeddedServerError
from worker.embedded.accounts import Account, postgres_account

USERS = {"postgres": 101, "nobody": 65534}


def users(monkeypatch: pytest.MonkeyPatch, **known: int) -> None:
    def getpwnam(name: str) -> SimpleNamespace:
        return SimpleNamespace(pw_uid=known[name], pw_gid=known[name] + 1)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    monkeypatch.setattr(
        pwd, "getpwall", lambda: [SimpleNamespace(pw_uid=uid, pw_gid=uid + 1) for uid in known.values()]
    )


def owned_by(monkeypatch: pytest.MonkeyPatch, path: Path, uid: int) -> None:
    path.mkdir()
    monkeypatch.setattr(Path, "stat", lambda _self, **_kwargs: SimpleNamespace(st_uid=uid, st_gid=7, st_mode=0o040700))


@pytest.mark.parametrize(
    ("known", "account"),
    [({"postgres": 101, "nobody": 65534}, Account(101, 102)), ({"nobody": 65534}, Account(65534, 65535))],
)
def test_as_root_postgres_runs_as_a_user_made_for_it_or_as_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, int], account: Account
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch, **known)
    assert postgres_account(tmp_path / "new") == account


def test_as_root_without_such_users_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch)
    with pytest.raises(EmbeddedServerError, match="neither a user 'postgres' nor 'nobody'"):
        postgres_account(tmp_path / "new")


@pytest.mark.parametrize(
    ("owner", "account"), [(1000, Account(1000, 7)), (101, Account(101, 102)), (0, Account(101, 102))]
)
def test_as_root_the_datas_owner_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, account: Account
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users(monkeypatch, **USERS)
    owned_by(monkeypatch, tmp_path / "data", owner)
    assert postgres_account(tmp_path / "data") == account


def test_an_ordinary_user_runs_postgres_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres_account(tmp_path / "new") is None
    owned_by(monkeypatch, tmp_path / "data", 1000)
    assert postgres_account(tmp_path / "data") is None


def test_an_ordinary_user_is_told_whose_the_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    owned_by(monkeypatch, tmp_path / "data", 65534)
    with pytest.raises(EmbeddedServerError, match="belongs to user 65534"):
        postgres_account(tmp_path / "data")
