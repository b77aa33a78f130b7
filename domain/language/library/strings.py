"""Functions over strings. Indexes and sizes count code points."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2

from domain.language.faults import Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import bounded, no_overload, sized
from domain.language.limits import PATTERN_CODE_POINTS_MAX, REGEX_MEMORY_BYTES_MAX, STRING_CODE_POINTS_MAX

# White space as Unicode's property White_Space has it; Python's own strip differs.
WHITE_SPACE: Final = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_WHOLE: Final = object()  # where no index is written; a null is none
_LOWER: Final = {upper: upper + 32 for upper in range(65, 91)}
_UPPER: Final = {lower: lower - 32 for lower in range(97, 123)}


def _strings(operation: str, *values: Any) -> None:
    for value in values:
        if type(value) is not str:
            no_overload(operation, *values)


def _ints(operation: str, values: tuple[Any, ...], *numbers: Any) -> None:
    for number in numbers:
        if type(number) is not int:
            no_overload(operation, *values)


def _in_range(index: int, length: int) -> int:
    if not 0 <= index <= length:
        raise Fault("range", f"index {index} is out of range")
    return index


def contains(text: Any, part: Any) -> bool:
    """``s.contains(t)``."""
    if type(text) is str and type(part) is str:
        return part in text
    no_overload("contains", text, part)


def starts_with(text: Any, part: Any) -> bool:
    """``s.startsWith(t)``."""
    if type(text) is str and type(part) is str:
        return text.startswith(part)
    no_overload("startsWith", text, part)


def ends_with(text: Any, part: Any) -> bool:
    """``s.endsWith(t)``."""
    if type(text) is str and type(part) is str:
        return text.endswith(part)
    no_overload("endsWith", text, part)


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a pattern is found; ValueError for one that is not RE2 or is too costly."""
    if len(pattern) > PATTERN_CODE_POINTS_MAX:
        raise ValueError(f"a pattern has at most {PATTERN_CODE_POINTS_MAX} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = REGEX_MEMORY_BYTES_MAX
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        text = error.args[0] if error.args else "not valid"
        raise ValueError(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)) from None
    return _literal_test(pattern) or _search_test(compiled)


def is_pattern(pattern: str) -> bool:
    """Return whether a text is a pattern that ``matches`` takes."""
    try:
        compile_pattern(pattern)
    except ValueError:
        return False
    return True


# A pattern that is a text, perhaps anchored; an escaped sign stands for itself.
_LITERAL: Final = re.compile(r"(\^)?((?:[^\\.+*?()|\[\]{}^$]|\\[-.+*?()|\[\]{}^$/@_\\])*)(\$)?", re.DOTALL)


def _literal_test(pattern: str) -> Callable[[str], bool] | None:
    """Return Python's own test for a pattern that is a text, which is several times as fast."""
    match = _LITERAL.fullmatch(pattern)
    if match is None:
        return None
    text = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
    if match[1]:
        return text.__eq__ if match[3] else lambda value: value.startswith(text)
    return (lambda value: value.endswith(text)) if match[3] else lambda value: text in value


def _search_test(compiled: Any) -> Callable[[str], bool]:
    # The public search spends most of its time on the places of the match, which nobody asks for.
    match = getattr(getattr(compiled, "_regexp", None), "Match", None)
    if match is None:  # pragma: no cover - another version of google-re2
        return lambda text: compiled.search(text.encode()) is not None
    unanchored = re2._Anchor.UNANCHORED  # noqa: SLF001 - as above

    def found(text: str) -> bool:
        encoded = text.encode()
        return bool(match(unanchored, encoded, 0, len(encoded))[0][0] >= 0)

    return found


def matches(text: Any, pattern: Any) -> bool:
    """``s.matches(p)``: whether the pattern is found anywhere in the string (RE2, linear time)."""
    _strings("matches", text, pattern)
    try:
        found = compile_pattern(pattern)
    except ValueError as error:
        raise Fault("pattern", f"not an RE2 pattern: {error}") from None
    return _found(found, text)


def _found(found: Callable[[str], bool], text: str) -> bool:
    try:
        return found(text)
    except UnicodeEncodeError:
        raise Fault("conversion", "the string holds half of a surrogate pair") from None


def prepare_matches(constants: dict[int, Any]) -> Callable[..., Any] | None:
    """Compile a constant pattern once."""
    pattern = constants.get(1)
    if type(pattern) is not str:
        return None
    found = compile_pattern(pattern)

    def matches_pattern(text: Any, _pattern: Any) -> bool:
        if type(text) is not str:
            no_overload("matches", text, pattern)
        try:
            return found(text)
        except UnicodeEncodeError:
            return _found(found, text)

    return matches_pattern


def char_at(text: Any, index: Any) -> str:
    """``s.charAt(i)``: one character, or an empty string at the end."""
    _strings("charAt", text)
    _ints("charAt", (text, index), index)
    _in_range(index, len(text))
    return str(text[index : index + 1])


def index_of(text: Any, part: Any, start: Any = 0) -> int:
    """``s.indexOf(t[, from])``, or -1."""
    _strings("indexOf", text, part)
    _ints("indexOf", (text, part, start), start)
    _in_range(start, len(text))
    return int(text.find(part, start))


def last_index_of(text: Any, part: Any, start: Any = _WHOLE) -> int:
    """``s.lastIndexOf(t[, from])``, or -1."""
    _strings("lastIndexOf", text, part)
    if start is _WHOLE:
        return int(text.rfind(part))
    _ints("lastIndexOf", (text, part, start), start)
    _in_range(start, len(text))
    return int(text.rfind(part, 0, start + len(part)))


def lower_ascii(text: Any) -> str:
    """``s.lowerAscii()``."""
    _strings("lowerAscii", text)
    return str(text.lower() if text.isascii() else text.translate(_LOWER))


def upper_ascii(text: Any) -> str:
    """``s.upperAscii()``."""
    _strings("upperAscii", text)
    return str(text.upper() if text.isascii() else text.translate(_UPPER))


def trim(text: Any) -> str:
    """``s.trim()``: without white space at both ends."""
    _strings("trim", text)
    return str(text.strip(WHITE_SPACE))


def replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    """``s.replace(old, new[, n])``: all, or the first n, occurrences."""
    _strings("replace", text, old, new)
    _ints("replace", (text, old, new, count), count)
    # The longest that it can get, before any of it is made.
    times = text.count(old) if old else len(text) + 1
    if count >= 0:
        times = min(times, count)
    if len(text) + times * (len(new) - len(old)) > STRING_CODE_POINTS_MAX:
        bounded(range(STRING_CODE_POINTS_MAX + 1))
    return str(text.replace(old, new, count if count >= 0 else -1))


def split(text: Any, separator: Any, limit: Any = -1) -> list[str]:
    """``s.split(separator[, n])``: into at most n parts."""
    _strings("split", text, separator)
    _ints("split", (text, separator, limit), limit)
    if limit == 0:
        return []
    if separator:
        if limit < 0:
            sized(range(text.count(separator) + 1))
        return list(text.split(separator, limit - 1 if limit > 0 else -1))
    sized(range(len(text) if limit < 0 else min(limit, len(text))))
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


def join(parts: Any, separator: Any = "") -> str:
    """``list.join([separator])``."""
    if type(parts) is not list:
        no_overload("join", parts)
    _strings("join", separator)
    _strings("join", *parts)
    if parts and sum(map(len, parts)) + len(separator) * (len(parts) - 1) > STRING_CODE_POINTS_MAX:
        bounded(range(STRING_CODE_POINTS_MAX + 1))
    return str(separator.join(parts))


def substring(text: Any, start: Any, end: Any = _WHOLE) -> str:
    """``s.substring(start[, end])``."""
    _strings("substring", text)
    if end is _WHOLE:
        end = len(text)
    _ints("substring", (text, start, end), start, end)
    _in_range(start, len(text))
    _in_range(end, len(text))
    if start > end:
        raise Fault("range", f"substring from {start} to {end}")
    return str(text[start:end])


_QUOTED: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def quote(text: Any) -> str:
    """``strings.quote(s)``: with quotes and escapes, as one would write it."""
    _strings("strings.quote", text)
    safe = "".join("\ufffd" if 0xD800 <= ord(sign) <= 0xDFFF else _QUOTED.get(sign, sign) for sign in text)
    return str(bounded(f'"{safe}"'))


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("contains", contains, "string.contains(string) bool", linear=True),
    function("startsWith", starts_with, "string.startsWith(string) bool"),
    function("endsWith", ends_with, "string.endsWith(string) bool"),
    function(
        "matches",
        matches,
        "string.matches(string) bool",
        "matches(string, string) bool",
        prepare=prepare_matches,
        linear=True,
    ),
    function("charAt", char_at, "string.charAt(int) string"),
    function("indexOf", index_of, "string.indexOf(string) int", "string.indexOf(string, int) int", linear=True),
    function(
        "lastIndexOf",
        last_index_of,
        "string.lastIndexOf(string) int",
        "string.lastIndexOf(string, int) int",
        linear=True,
    ),
    function("lowerAscii", lower_ascii, "string.lowerAscii() string", linear=True),
    function("upperAscii", upper_ascii, "string.upperAscii() string", linear=True),
    function("trim", trim, "string.trim() string", linear=True),
    function("replace", replace, "string.replace(string, string) string", "string.replace(string, string, int) string"),
    function(
        "split", split, "string.split(string) list<string>", "string.split(string, int) list<string>", linear=True
    ),
    function("join", join, "list<string>.join() string", "list<string>.join(string) string", linear=True),
    function("substring", substring, "string.substring(int) string", "string.substring(int, int) string", linear=True),
    function("strings.quote", quote, "strings.quote(string) string", linear=True),
)
