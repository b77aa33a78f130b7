"""Decoding what people send, into typed payloads or errors of the contract's codes."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, TypeVar

import msgspec

from domain.errors import InvalidRequestError, MissingParameterError, ValidationError

REQUEST_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 64
# How much of a sender's own text an error repeats.
_ECHO_MAX: Final = 200

_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<field>.+)`")
_PLACE: Final = re.compile(r" - at `\$\.?(?P<place>[^`]*)`")
# A string that never ends is taken to the end of the text: looking for its end again from every quote in it would take
# quadratic time, which is a way to hold a worker up.
_BRACKETS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)

_Payload = TypeVar("_Payload", bound=msgspec.Struct)


def decode_request(data: bytes, payload_type: type[_Payload], depth_max: int = DEPTH_MAX) -> _Payload:
    """Read a command's or query's payload; an empty one is ``{}``.

    Raises InvalidRequestError (not JSON, not an object, too large or deep, an unknown field), MissingParameterError,
    or ValidationError (a value of the wrong type).
    """
    if len(data) > REQUEST_BYTES_MAX:
        raise InvalidRequestError(f"a payload is at most {REQUEST_BYTES_MAX} bytes", bytes=len(data))
    if is_too_deep(data, depth_max):
        raise InvalidRequestError(f"a payload is nested at most {depth_max} deep")
    try:
        return msgspec.json.decode(data or b"{}", type=payload_type)
    except msgspec.ValidationError as error:
        if not _is_json(data):  # what is no JSON has no fields that could be wrong
            raise InvalidRequestError("the payload is not JSON") from None
        raise _problem(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequestError("the payload is not JSON") from None


def payload_digest(verb: str, data: bytes) -> bytes:
    """Return what tells one command from another: SHA-256 over the verb and the payload, its key order ignored."""
    try:
        canonical = msgspec.json.encode(msgspec.json.decode(data or b"{}"), order="deterministic")
    except (ValueError, RecursionError):
        canonical = data
    return hashlib.sha256(verb.encode() + b"\x00" + canonical).digest()


def is_too_deep(data: bytes, depth_max: int = DEPTH_MAX) -> bool:
    """Say whether JSON text is nested deeper than allowed, without parsing it."""
    if data.count(b"{") + data.count(b"[") <= depth_max:
        return False
    depth = 0
    for found in _BRACKETS.finditer(data):
        token = found[0]
        if token in (b"{", b"["):
            depth += 1
            if depth > depth_max:
                return True
        elif token in (b"}", b"]"):
            depth -= 1
    return False


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _problem(text: str) -> Exception:
    place = _PLACE.search(text)
    message = _PLACE.sub("", text)
    within = f"{place['place']}." if place is not None and place["place"] else ""
    if found := _MISSING.match(message):
        name = f"{within}{found['field']}"[:_ECHO_MAX]
        return MissingParameterError(f"{name} is required", field=name)
    if found := _UNKNOWN.match(message):
        name = f"{within}{found['field']}"[:_ECHO_MAX]
        return InvalidRequestError(f"unknown field {name}", field=name)
    if place is None:
        return InvalidRequestError("the payload is not a JSON object")
    field = place["place"][:_ECHO_MAX]
    message = message[:_ECHO_MAX]
    problem: dict[str, Any] = {"code": "wrong-type", "field": field, "message": message, "hint": None}
    return ValidationError(f"{field}: {message}", problems=[problem])
