"""The encoders library: base64."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from domain.language.faults import Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import bounded, no_overload

_ALPHABET: Final = re.compile(r"[A-Za-z0-9+/]*", re.ASCII)


def decode(text: Any) -> bytes:
    """``base64.decode(s)``; padding may be left out."""
    if type(text) is not str:
        no_overload("base64.decode", text)
    digits = text.rstrip("=")
    padding = -len(digits) % 4
    if _ALPHABET.fullmatch(digits) is None or len(text) - len(digits) not in {0, padding}:
        raise Fault("conversion", "the string is not base64")
    try:
        return base64.b64decode(digits + "=" * padding, validate=True)
    except binascii.Error:
        raise Fault("conversion", "the string is not base64") from None


def encode(value: Any) -> str:
    """``base64.encode(b)``."""
    if type(value) is not bytes:
        no_overload("base64.encode", value)
    return str(bounded(base64.b64encode(value).decode("ascii")))


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("base64.decode", decode, "base64.decode(string) bytes", linear=True),
    function("base64.encode", encode, "base64.encode(bytes) string", linear=True),
)
