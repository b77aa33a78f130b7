"""A file of identities that would give the server a wrong configuration is refused, with all that is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.identities import IdentitiesError, read_identities
from worker.nkey_files import make_key


def written(folder: Path, fact_types: list[str], *, keys: int = 1) -> Path:
    """Write a publisher with so many copies of one key."""
    public = make_key(folder / "checkout.nk")
    file = folder / "identities.toml"
    listed = ", ".join(f'"{one}"' for one in fact_types)
    file.write_text(
        f'[identities.checkout]\nroles = ["publisher"]\nkeys = {[public] * keys}\nfact_types = [{listed}]\n'
    )
    return file


@pytest.mark.parametrize("types", [["order.>"], ["order.placed", "order.paid"], ["order.>", "payment.*"]])
def test_a_publisher_may_have_several_fact_types(tmp_path: Path, types: list[str]) -> None:
    (found,) = read_identities(written(tmp_path, types))
    assert list(found.fact_types) == types


@pytest.mark.parametrize("types", [["order.>", "order.placed"], [">", "*.>"], ["order.placed", "order.placed"]])
def test_fact_types_that_share_facts_are_refused(tmp_path: Path, types: list[str]) -> None:
    """The server would store such a fact once for each of them."""
    with pytest.raises(IdentitiesError, match="some facts are of both"):
        read_identities(written(tmp_path, types))


def test_a_key_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IdentitiesError, match="names a key twice"):
        read_identities(written(tmp_path, ["order.>"], keys=2))
