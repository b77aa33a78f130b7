"""Where a stored decision and the same decision made again differ.

Bytes decide whether they do. Where, is told by paths into the JSON (RFC 9535): ``$.output.discount`` is of the
decision's body, ``$.effects[0].payload.points`` of an effect's payload, ``row.matched`` is a column beside them that
says under which subject or headers they are published. Bytes that differ without the data being other (in the order of
keys, say) are told by the text around the first byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from domain.ports import StoredDecision

# How much text is shown on either side of a byte.
_AROUND: Final = 20

# What is stored beside the body: what the others of a row's columns say is read from the body.
_COLUMNS: Final = {
    "factId": "fact_id",
    "factType": "fact_type",
    "matched": "matched",
}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DECODER: Final = msgspec.json.Decoder()


class Difference(msgspec.Struct, frozen=True):
    """One place and what it holds, as JSON data: in the store, and made again. UNSET where it is not there at all."""

    path: str
    stored: Any = msgspec.UNSET
    again: Any = msgspec.UNSET


class _NotJsonError(Exception):
    pass


def differences(stored: StoredDecision, again: StoredDecision) -> list[Difference]:
    """Return every place in which two forms of one decision differ, none where they are equal byte for byte."""
    found = list(_of_bytes("$", stored.body, again.body))
    for number, (old, new) in enumerate(_pairs(stored.effects, again.effects)):
        found += _of_effects(f"$.effects[{number}]", old, new)
    for name, attribute in _COLUMNS.items():
        found += _of_values(f"row.{name}", getattr(stored, attribute), getattr(again, attribute))
    # An effect's name and id are in the body and beside the payload: what differs in both is told once.
    distinct = {(one.path, *(repr(value) for value in (one.stored, one.again))): one for one in found}
    return list(distinct.values())


_Effect = tuple[str, str, bytes]


def _pairs(stored: tuple[_Effect, ...], again: tuple[_Effect, ...]) -> Iterable[tuple[_Effect | None, _Effect | None]]:
    for number in range(max(len(stored), len(again))):
        yield stored[number] if number < len(stored) else None, again[number] if number < len(again) else None


def _of_effects(path: str, stored: _Effect | None, again: _Effect | None) -> Iterator[Difference]:
    if stored == again:
        return
    if stored is None or again is None:
        yield Difference(path, _effect(stored), _effect(again))
        return
    yield from _of_values(f"{path}.name", stored[0], again[0])
    yield from _of_values(f"{path}.effectId", stored[1], again[1])
    yield from _of_bytes(f"{path}.payload", stored[2], again[2])


def _effect(effect: _Effect | None) -> Any:
    if effect is None:
        return msgspec.UNSET
    name, effect_id, data = effect
    try:
        payload = _decoded(data)
    except _NotJsonError:
        payload = data.decode(errors="replace")
    return {"name": name, "effectId": effect_id, "payload": payload}


def _of_bytes(path: str, stored: bytes, again: bytes) -> Iterator[Difference]:
    if stored == again:
        return
    try:
        found = list(_of_values(path, _decoded(stored), _decoded(again)))
    except _NotJsonError:
        found = []
    yield from found or [_of_text(path, stored, again)]


def _of_text(path: str, stored: bytes, again: bytes) -> Difference:
    """Show the text around the first byte that differs."""
    end = min(len(stored), len(again))
    at = next((number for number in range(end) if stored[number] != again[number]), end)
    start = max(0, at - _AROUND)
    shown = [one[start : at + _AROUND].decode(errors="replace") for one in (stored, again)]
    return Difference(f"{path} (byte {at})", *shown)


def _of_values(path: str, stored: Any, again: Any) -> Iterator[Difference]:
    if type(stored) is dict and type(again) is dict:
        for name in {**again, **stored}:
            inner = f"{path}.{name}" if _NAME.match(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"
            yield from _of_values(inner, stored.get(name, msgspec.UNSET), again.get(name, msgspec.UNSET))
    elif type(stored) is list and type(again) is list:
        for number in range(max(len(stored), len(again))):
            old, new = (one[number] if number < len(one) else msgspec.UNSET for one in (stored, again))
            yield from _of_values(f"{path}[{number}]", old, new)
    elif type(stored) is not type(again) or repr(stored) != repr(again):  # 1 is not 1.0, and 0.0 is not -0.0
        yield Difference(path, stored, again)


def _decoded(data: bytes) -> Any:
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _NotJsonError from error
