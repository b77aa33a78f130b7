"""The values of the language beyond Python's own, and their form in JSON.

null, bool, double, string and bytes are Python's None, bool, float, str and bytes. An int is a Python int within 64
bits; a uint is a ``Uint``, or a plain int above the int range (as JSON decodes it). Lists are lists. A map with string
keys is a dict; a map with any other key is a ``KeyedMap``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache, total_ordering
from typing import Any, Final

from domain.language.limits import OUTPUT_ITEMS_MAX

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1
NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
TIMESTAMP_MIN_NS: Final = (date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY_S * NS
TIMESTAMP_MAX_NS: Final = (date(9999, 12, 31).toordinal() + 1 - _EPOCH_ORDINAL) * _DAY_S * NS - 1
DURATION_MAX_NS: Final = INT_MAX


class Uint(int):
    """An unsigned 64-bit integer; it compares with ints and doubles by value, as the language does."""

    __slots__ = ()


@total_ordering
class Timestamp:
    """A moment in years 1 to 9999, with nanoseconds; ``ns`` counts them from 1970-01-01T00:00:00Z."""

    __slots__ = ("ns",)
    ns: int

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.ns == other.ns

    def __lt__(self, other: object) -> bool:
        return self.ns < other.ns if isinstance(other, Timestamp) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.ns <= other.ns if isinstance(other, Timestamp) else NotImplemented

    def __hash__(self) -> int:
        return hash(("timestamp", self.ns))

    def __repr__(self) -> str:
        return f"timestamp({timestamp_to_text(self)!r})"


@total_ordering
class Duration:
    """A length of time in nanoseconds, within 64 bits."""

    __slots__ = ("ns",)
    ns: int

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.ns == other.ns

    def __lt__(self, other: object) -> bool:
        return self.ns < other.ns if isinstance(other, Duration) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.ns <= other.ns if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash(("duration", self.ns))

    def __repr__(self) -> str:
        return f"duration({duration_to_text(self)!r})"


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value, such as ``int`` or ``type(x)``."""

    name: str


@dataclass(frozen=True, slots=True)
class OptionalValue:
    """``optional.of(x)``, or ``optional.none()`` when not ``present``."""

    present: bool
    value: Any = None


NONE: Final = OptionalValue(present=False)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address; the domain is in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


class BoolKey:
    """A bool as a key of a ``KeyedMap``: in Python ``True`` and ``1`` are one key, in the language two."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


TRUE_KEY: Final = BoolKey(value=True)
FALSE_KEY: Final = BoolKey(value=False)


class KeyedMap(dict[Any, Any]):
    """A map that has keys other than strings; its keys as the language sees them come from ``keys_of``."""

    __slots__ = ()


def stored_key(key: Any) -> Any:
    """Return the key under which a ``KeyedMap`` stores ``key``."""
    if key is True:
        return TRUE_KEY
    return FALSE_KEY if key is False else key


def keys_of(mapping: dict[Any, Any]) -> Iterator[Any]:
    """Yield a map's keys as values of the language."""
    if type(mapping) is KeyedMap:
        return (key.value if type(key) is BoolKey else key for key in mapping)
    return iter(mapping)


_TYPE_NAMES: Final[dict[type, str]] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    KeyedMap: "map",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
    TypeValue: "type",
    OptionalValue: "optional_type",
    Decimal: "decimal",
    Money: "money",
    Email: "email",
}


def type_name(value: Any) -> str:
    """Return the name of a value's type, as ``type(x)`` gives it."""
    if type(value) is int and value > INT_MAX:
        return "uint"
    return _TYPE_NAMES.get(type(value)) or str(getattr(type(value), "type_name", "dyn"))


def timestamp_from_ns(ns: int) -> Timestamp:
    """Return the moment ``ns`` nanoseconds after 1970-01-01T00:00:00Z; ValueError outside years 1 to 9999."""
    if not TIMESTAMP_MIN_NS <= ns <= TIMESTAMP_MAX_NS:
        raise ValueError("timestamp outside years 1 to 9999")
    return Timestamp(ns)


_RFC3339: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> Timestamp:
    """Read an RFC 3339 timestamp with up to nine fraction digits; ValueError when it is not one."""
    return Timestamp(parse_timestamp_ns(text))


def parse_timestamp_ns(text: str) -> int:
    """Return what ``parse_timestamp`` reads, in nanoseconds since 1970-01-01T00:00:00Z."""
    # The commonest form, in whole seconds of UTC, has its signs at every third place; what else Python would read, and
    # hour 24, which some versions of it do, has not.
    if len(text) == 20 and text[4::3] == "--T::Z" and (text[11] != "2" or text[12] < "4"):
        since = datetime.fromisoformat(text) - _EPOCH
        return (since.days * _DAY_S + since.seconds) * NS
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 timestamp")
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups()
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        raise ValueError("no such time of day")
    seconds = days * _DAY_S + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign is not None:
        if int(zone_hour) > 23 or int(zone_minute) > 59:
            raise ValueError("no such time zone offset")
        offset = int(zone_hour) * 3600 + int(zone_minute) * 60
        seconds += offset if sign == "-" else -offset
    return timestamp_from_ns(seconds * NS + (int(fraction.ljust(9, "0")) if fraction else 0)).ns


def _fraction(ns: int) -> str:
    return f".{ns:09d}".rstrip("0") if ns else ""


def timestamp_to_text(moment: Timestamp) -> str:
    """Return the moment as RFC 3339 in UTC, with as many fraction digits as it needs."""
    return ns_to_text(moment.ns)


def ns_to_text(ns: int) -> str:
    """Return the moment ``ns`` nanoseconds after 1970-01-01T00:00:00Z as ``timestamp_to_text`` does."""
    seconds, ns = divmod(ns, NS)
    return f"{_second_text(seconds)}{_fraction(ns)}Z"


@lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    days, rest = divmod(seconds, _DAY_S)
    day = date.fromordinal(days + _EPOCH_ORDINAL)
    return f"{day.isoformat()}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def duration_to_text(length: Duration) -> str:
    """Return the duration in seconds, such as ``-1.5s``."""
    seconds, ns = divmod(abs(length.ns), NS)
    return f"{'-' if length.ns < 0 else ''}{seconds}{_fraction(ns)}s"


def to_json(value: Any) -> Any:
    """Return a value of the language as plain JSON data.

    Raises ValueError for what has no JSON form: NaN, infinities and types, or more elements than a decision may hold.
    An ``optional.none()`` is left out of a list or a map, and is null by itself.
    """
    kind = value.__class__
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float and value - value == 0.0:
        return value
    return _to_json(value, [OUTPUT_ITEMS_MAX])


def _to_json(value: Any, left: list[int]) -> Any:
    kind = value.__class__
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        if value - value != 0.0:
            raise ValueError("NaN and infinities have no JSON form")
        return value
    if kind is dict or kind is list or kind is KeyedMap:
        left[0] -= len(value)
        if left[0] < 0:
            raise ValueError(f"the value has more than {OUTPUT_ITEMS_MAX} elements")
        if kind is list:
            return [_to_json(item, left) for item in value if item.__class__ is not OptionalValue or item.present]
        return {
            key if kind is dict else _key_text(key): _to_json(item, left)
            for key, item in value.items()
            if item.__class__ is not OptionalValue or item.present
        }
    return _to_json_other(value, left)


def _to_json_other(value: Any, left: list[int]) -> Any:
    match value:
        case Uint():
            return int(value)
        case Timestamp():
            return timestamp_to_text(value)
        case Duration():
            return duration_to_text(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case Decimal():
            return decimal_to_text(value)
        case Money():
            return {"amount": decimal_to_text(value.amount), "currency": value.currency}
        case Email():
            return str(value)
        case OptionalValue():
            return _to_json(value.value, left) if value.present else None
        case TypeValue():
            raise ValueError("a type has no JSON form")
    text = getattr(type(value), "to_text", None)
    if text is None:
        raise ValueError(f"{type(value).__name__} has no JSON form")
    return text(value)


def _key_text(key: Any) -> str:
    if type(key) is BoolKey:
        return "true" if key.value else "false"
    return str(key)


def decimal_to_text(number: Decimal) -> str:
    """Return a decimal in plain digits, keeping its trailing zeros."""
    return format(number, "f")
