"""Who is who: identities, their public keys and roles, from one TOML file. Everything wrong with it is said at once.

::

    [identities.alice]
    roles = ["author"]
    keys = ["UAKK…"]              # public nkeys; two while a key is changed, none for an identity that is locked out

    [identities.checkout]
    roles = ["publisher"]
    keys = ["UBZZ…"]
    fact_types = ["order.>"]      # a publisher's; without it all
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from domain.errors import InvalidRequestError, ValidationError
from domain.identifiers import ACTOR_PATTERN, Actor, is_dotted_pattern
from streams.permissions import ACTORS, PLANES, Role, overlap
from worker.nkey_files import is_public_key

# Names of accounts that are not an identity's.
RESERVED: Final = frozenset({"CONTROL", "DATA", "SYS"})
KEYS_MAX: Final = 4
_FIELDS: Final = frozenset({"roles", "keys", "fact_types"})
_EVERYTHING: Final = (">",)
# Whom every deployment has.
STANDARD: Final[Mapping[str, tuple[str, ...]]] = {
    "worker-data": (Role.WORKER_DATA.value,),
    "worker-control": (Role.WORKER_CONTROL.value,),
    "engineer-data": (Role.ENGINEER_DATA.value,),
    "engineer-control": (Role.ENGINEER_CONTROL.value,),
}


class IdentitiesError(ValidationError):
    """The file of identities is wrong; the message has a line for each problem."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One client, worker or engineer: ``name`` is its actor token and names its inbox."""

    name: str
    roles: frozenset[Role]
    keys: tuple[str, ...]
    fact_types: tuple[str, ...] = _EVERYTHING

    @property
    def is_client(self) -> bool:
        """Whether it has an account of its own, as opposed to being at home in a plane's or the system's."""
        return Role.SYSTEM not in self.roles and self.roles.isdisjoint(PLANES)


def read_identities(path: Path) -> tuple[Identity, ...]:
    """Read the file; raises IdentitiesError with everything that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise IdentitiesError(f"{path}: {error}") from None
    found = data.get("identities")
    problems = [f"no such table: {name}" for name in sorted(set(data) - {"identities"})]
    if not isinstance(found, dict) or not found:
        problems.append("there is no table [identities.NAME]")
        found = {}
    for name, entry in found.items():
        problems += _problems(name, entry)
    problems += _shared_keys(found)
    if problems:
        raise IdentitiesError(f"{path}: wrong identities:\n  " + "\n  ".join(problems))
    return tuple(
        Identity(
            name,
            frozenset(Role(role) for role in entry["roles"]),
            tuple(entry["keys"]),
            tuple(entry.get("fact_types", _EVERYTHING)),
        )
        for name, entry in found.items()
    )


def _problems(name: str, entry: Any) -> Iterator[str]:
    shown = name[:80]
    if name in RESERVED or not _is_token(name):
        yield f"{shown!r} cannot be a name: {ACTOR_PATTERN}, and none of {', '.join(sorted(RESERVED))}"
    if not isinstance(entry, dict):
        yield f"{shown}: must be a table"
        return
    for field in sorted(set(entry) - _FIELDS):
        yield f"{shown}: no such field: {field}"
    held = entry.get("roles")
    if not isinstance(held, list) or not held or not all(role in list(Role) for role in held):
        yield f"{shown}: roles must be a list of some of: {', '.join(Role)}"
        held = []
    alone = [role for role in held if Role(role) in PLANES or role == Role.SYSTEM]
    if alone and len(set(held)) > 1:
        yield f"{shown}: {alone[0]} goes with no other role: it is at home in an account of the planes or the system"
    keys = entry.get("keys")
    if not isinstance(keys, list) or len(keys) > KEYS_MAX or not all(map(is_public_key, keys)):
        yield f"{shown}: keys must be a list of at most {KEYS_MAX} public nkeys of users (U and 55 letters and digits)"
    elif len(set(keys)) < len(keys):
        yield f"{shown}: names a key twice"
    types = entry.get("fact_types")
    if types is not None:
        if Role.PUBLISHER not in held:
            yield f"{shown}: fact_types are a publisher's"
        if not isinstance(types, list) or not types or not all(map(_is_fact_pattern, types)):
            yield f"{shown}: fact_types must be a list of fact types, where * stands for a token and > for the rest"
        else:  # the server would store a fact once for each that means it
            yield from (
                f"{shown}: some facts are of both fact_types {one} and {other}"
                for one, other in combinations(types, 2)
                if overlap(one, other)
            )


def _shared_keys(found: Mapping[str, Any]) -> Iterator[str]:
    holders: dict[str, str] = {}
    for name, entry in found.items():
        keys = entry.get("keys") if isinstance(entry, dict) else None
        for key in keys if isinstance(keys, list) else []:
            if isinstance(key, str) and holders.setdefault(key, name) != name:
                yield f"{name}: has a key of {holders[key]}; a key is one identity's"


def _is_token(name: str) -> bool:
    try:
        Actor(name)
    except InvalidRequestError:
        return False
    return True


def _is_fact_pattern(text: Any) -> bool:
    return isinstance(text, str) and is_dotted_pattern(text)


def actors_of(identities: Sequence[Identity]) -> dict[str, list[str]]:
    """Return the role policy that workers enforce: who has which actors' roles."""
    found = {one.name: sorted(role.value for role in one.roles & ACTORS) for one in identities}
    return {name: held for name, held in found.items() if held}


def identities_text(wanted: Mapping[str, Sequence[str]], keys: Mapping[str, str]) -> str:
    """Write a file of identities; one without a key is locked out."""
    tables = [
        f"[identities.{json.dumps(name)}]\nroles = {json.dumps(list(roles))}\n"
        f"keys = {json.dumps([keys[name]] if keys[name] else [])}\n"
        for name, roles in wanted.items()
    ]
    return "\n".join(tables)
