"""Timestamps and durations: reading, and their parts in a time zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib import resources
from operator import attrgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from domain.language.faults import Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import moment, no_overload, span
from domain.language.values import INT_MAX, NS, Duration, Timestamp, parse_timestamp, parse_timestamp_ns

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_DURATION: Final = re.compile(r"([+-])?((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|m|s|us|µs|μs|ns))+|[+-]?0", re.ASCII)
_DURATION_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|m|s|us|µs|μs|ns)", re.ASCII)
_UNITS: Final = {
    "h": 3600 * NS, "m": 60 * NS, "s": NS, "ms": 1_000_000, "us": 1_000, "\u00b5s": 1_000, "\u03bcs": 1_000, "ns": 1,
}  # fmt: skip
_NO_ZONE: Final = object()  # where no time zone is written; a null is none
_OFFSET: Final = re.compile(r"([+-])?([0-9]{2}):([0-9]{2})", re.ASCII)


def to_timestamp(value: Any) -> Timestamp:
    """``timestamp(x)``: of RFC 3339 text, or of seconds since 1970."""
    kind = type(value)
    if kind is str:
        try:
            return parse_timestamp(value)
        except ValueError as error:
            shown = value if len(value) <= 40 else value[:40] + "…"
            raise Fault("conversion", f"{shown!r}: {error}") from None
    if kind is Timestamp:
        return value  # type: ignore[no-any-return]
    if kind is int and value <= INT_MAX:
        return moment(value * NS)
    no_overload("timestamp", value)


def timestamp_ns(value: Any) -> int:
    """Return the nanoseconds of ``timestamp(x)``, which is all that a comparison needs of it."""
    if type(value) is not str:
        return to_timestamp(value).ns
    try:
        return parse_timestamp_ns(value)
    except ValueError:
        return to_timestamp(value).ns


def between_ns(later: int, earlier: int) -> int:
    """Return the nanoseconds of a duration between two timestamps, given in theirs; it may be negative."""
    ns = later - earlier
    return ns if -INT_MAX - 1 <= ns <= INT_MAX else span(ns).ns


def to_duration(value: Any) -> Duration:
    """``duration(x)``: of text such as ``1h30m``, ``-1.5s``, or of seconds."""
    kind = type(value)
    if kind is Duration:
        return value  # type: ignore[no-any-return]
    if kind is int and value <= INT_MAX:
        return span(value * NS)
    if kind is not str:
        no_overload("duration", value)
    if len(value) > 200 or _DURATION.fullmatch(value) is None:
        shown = value if len(value) <= 40 else value[:40] + "…"
        raise Fault("conversion", f"{shown!r} is not a duration such as 1h30m or -1.5s")
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(value):
        size = _UNITS[unit]
        total += int(whole or "0") * size
        if fraction:
            total += int(fraction) * size // 10 ** len(fraction)
    return span(-total if value[0] == "-" else total)


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """Return a time zone by its name or offset; ValueError when there is none."""
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(f"no such offset: {name}")
        delta = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-delta if sign == "-" else delta)
    if name in {"UTC", "Z"}:
        return UTC
    if len(name) > 64 or re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", name) is None:
        raise ValueError("no such time zone")
    # From the package and not from the machine, so that a decision is the same on all of them.
    resource = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    try:
        with resource.open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (ValueError, OSError):
        raise ValueError(f"no such time zone: {name}") from None


def _local(at: Timestamp, zone_name: Any) -> tuple[date, int]:
    """Return the local day and the second of that day."""
    seconds = at.ns // NS
    if zone_name is not _NO_ZONE and zone_name != "UTC":
        try:
            place = zone(zone_name)
        except ValueError as error:
            raise Fault("time-zone", str(error)) from None
        seconds += _offset_s(place, seconds)
    days, rest = divmod(seconds, 86_400)
    # A zone may push the first and the last day over the calendar's edge; it is clamped there.
    ordinal = min(max(days + _EPOCH_ORDINAL, 1), date.max.toordinal())
    return date.fromordinal(ordinal), rest


def _offset_s(place: tzinfo, seconds: int) -> int:
    low, high = -62_135_510_400, 253_402_214_400  # within a day of both ends, where datetime can convert
    moment_utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(max(seconds, low), high))
    offset = moment_utc.astimezone(place).utcoffset()
    return 0 if offset is None else offset.days * 86_400 + offset.seconds


def _part(name: str, read: Callable[[date, int], int]) -> Callable[..., int]:
    def part(value: Any, zone_name: Any = _NO_ZONE) -> int:
        if type(value) is not Timestamp or not (zone_name is _NO_ZONE or type(zone_name) is str):
            no_overload(name, value)
        return read(*_local(value, zone_name))

    return part


def _either(name: str, unit: int, count: int) -> Callable[..., int]:
    """Return the accessor of a part of the day, or of a whole duration in its unit."""
    part = _part(name, lambda _, second: second * NS // unit % count)

    def either(value: Any, zone_name: Any = _NO_ZONE) -> int:
        if zone_name is _NO_ZONE:
            if type(value) is Timestamp:
                return value.ns // unit % count
            if type(value) is Duration:
                return _toward_zero(value.ns, unit)
        return part(value, zone_name)

    return either


def _toward_zero(ns: int, unit: int) -> int:
    return ns // unit if ns >= 0 else -(-ns // unit)


def _milliseconds(value: Any, zone_name: Any = _NO_ZONE) -> int:
    if type(value) is Timestamp and (zone_name is _NO_ZONE or type(zone_name) is str):
        if zone_name is not _NO_ZONE:
            _local(value, zone_name)
        return int(value.ns % NS // 1_000_000)
    if type(value) is Duration and zone_name is _NO_ZONE:
        return _toward_zero(value.ns, 1_000_000) % 1000 if value.ns >= 0 else -(-value.ns // 1_000_000 % 1000)
    no_overload("getMilliseconds", value)


_FIRST_NS: Final = -62_135_510_400 * NS  # within a day of both ends of the calendar
_LAST_NS: Final = 253_402_214_400 * NS
_OF_DATETIME: Final[dict[str, Callable[[datetime], int]]] = {
    "getFullYear": attrgetter("year"),
    "getMonth": lambda local: local.month - 1,
    "getDate": attrgetter("day"),
    "getDayOfMonth": lambda local: local.day - 1,
    "getDayOfWeek": lambda local: local.isoweekday() % 7,
    "getHours": attrgetter("hour"),
    "getMinutes": attrgetter("minute"),
    "getSeconds": attrgetter("second"),
}


def _accessor(name: str, call: Callable[..., int], *, of_duration: bool = False) -> Function:
    signatures = [f"timestamp.{name}() int", f"timestamp.{name}(string) int"]
    if of_duration:
        signatures.append(f"duration.{name}() int")
    return function(name, call, *signatures, prepare=_prepare_zone(name, call))


def _prepare_zone(name: str, call: Callable[..., int]) -> Callable[[dict[int, Any]], Callable[..., int] | None]:
    """Return what looks a constant time zone up once; it refuses one that does not exist."""
    read = _OF_DATETIME.get(name)

    def prepare(constants: dict[int, Any]) -> Callable[..., int] | None:
        zone_name = constants.get(1)
        if type(zone_name) is not str:
            return None
        place = zone(zone_name)
        if read is None:
            return None

        def part_in_zone(value: Any, _zone_name: Any) -> int:
            return part_of_ns(value.ns) if type(value) is Timestamp else call(value, zone_name)

        def part_of_ns(ns: int) -> int:
            # Away from the ends of the calendar Python's own conversion is right, and several times as fast.
            if _FIRST_NS < ns < _LAST_NS:
                return read(datetime.fromtimestamp(ns // NS, place))
            return call(Timestamp(ns), zone_name)

        part_in_zone.of_ns = part_of_ns  # type: ignore[attr-defined]  # for a target known to be a timestamp
        return part_in_zone

    return prepare


FUNCTIONS: Final[tuple[Function, ...]] = (
    function(
        "timestamp",
        to_timestamp,
        "timestamp(string) timestamp",
        "timestamp(timestamp) timestamp",
        "timestamp(int) timestamp",
    ),
    function(
        "duration", to_duration, "duration(string) duration", "duration(duration) duration", "duration(int) duration"
    ),
    _accessor("getFullYear", _part("getFullYear", lambda day, _: day.year)),
    _accessor("getMonth", _part("getMonth", lambda day, _: day.month - 1)),
    _accessor("getDate", _part("getDate", lambda day, _: day.day)),
    _accessor("getDayOfMonth", _part("getDayOfMonth", lambda day, _: day.day - 1)),
    _accessor("getDayOfWeek", _part("getDayOfWeek", lambda day, _: day.isoweekday() % 7)),
    _accessor("getDayOfYear", _part("getDayOfYear", lambda day, _: day.timetuple().tm_yday - 1)),
    _accessor("getHours", _either("getHours", 3600 * NS, 24), of_duration=True),
    _accessor("getMinutes", _either("getMinutes", 60 * NS, 60), of_duration=True),
    _accessor("getSeconds", _either("getSeconds", NS, 60), of_duration=True),
    _accessor("getMilliseconds", _milliseconds, of_duration=True),
)
