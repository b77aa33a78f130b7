"""The texts that a regular expression can't match without, as far as its top level tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from domain.language.demands import PartKind, TextParts
from domain.language.ranges import Values

_FLAGS: Final = re.compile(r"\(\?([is]+)\)")
_REPEAT: Final = re.compile(r"[*+?]\??|\{[0-9]+(?:,[0-9]*)?\}\??")
_LITERAL_ESCAPES: Final = frozenset("-.+*?()|[]{}^$/@_\\'\"!#%&,:;<=>~` ")
_CLASS_ESCAPES: Final = frozenset("dDwWsSbBAz")
_FOLDED: Final = frozenset("abcdefghijlmnopqrtuvwxyz0123456789")  # but k and s, which stand for signs beyond ASCII too
_ALTERNATIVES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Required:
    """What a text must be or hold for a pattern to be found in it; ``folded`` where it is compared in lower case."""

    test: Values | TextParts
    folded: bool


class _UnclearError(Exception):
    """A pattern holds what is not read here."""


@lru_cache(maxsize=1024)
def required_by(pattern: str) -> Required | None:
    """Return what an RE2 pattern, known to be valid, requires; None where that is nothing or not clear."""
    flags = _FLAGS.match(pattern)
    folded = flags is not None and "i" in flags[1]
    found: list[tuple[PartKind | None, str]] = []
    try:
        for items in _alternatives(pattern, 0 if flags is None else flags.end()):
            best = _best(items, folded=folded)
            if best is None:
                return None
            found.append(best)
    except _UnclearError:
        return None
    texts = frozenset(text for _, text in found)
    kinds = {kind for kind, _ in found}
    kind = kinds.pop() if len(kinds) == 1 else PartKind.CONTAINS
    return Required(Values(texts=texts) if kind is None else TextParts(kind, texts), folded)


# An item is a sign that stands for itself, "^" or "$" as (None, sign), or a gap as (None, "").
_Item = tuple[str | None, str]


def _alternatives(pattern: str, start: int) -> list[list[_Item]]:
    """Return what stands at the top level of a pattern, alternative by alternative."""
    found: list[list[_Item]] = [[]]
    at = start
    while at < len(pattern):
        sign = pattern[at]
        items = found[-1]
        if sign == "|":
            found.append([])
            if len(found) > _ALTERNATIVES_MAX:
                raise _UnclearError
            at += 1
            continue
        literal: str | None = None
        if sign in "^$":
            items.append((None, sign))
            at += 1
            continue
        if sign == "(":
            at = _group_end(pattern, at)
        elif sign == "[":
            at = _class_end(pattern, at)
        elif sign == "\\":
            literal, at = _escaped(pattern, at), at + 2
        else:
            if sign in "*+?{}":
                raise _UnclearError
            literal, at = (None if sign == "." else sign), at + 1
        repeat = _REPEAT.match(pattern, at)
        if repeat is None:
            items.append((literal, ""))
            continue
        at = repeat.end()
        if literal is not None and repeat[0][0] == "+":
            items.append((literal, ""))
        items.append((None, ""))
    return found


def _escaped(pattern: str, at: int) -> str | None:
    sign = pattern[at + 1 : at + 2]
    if sign in _CLASS_ESCAPES:
        return None
    if sign not in _LITERAL_ESCAPES:
        raise _UnclearError
    return sign


def _class_end(pattern: str, at: int) -> int:
    """Return where a class of signs ends."""
    at += 2 if pattern.startswith("[^", at) else 1
    first = at
    while at < len(pattern):
        if pattern[at] == "]" and at > first:
            return at + 1
        if pattern.startswith("[:", at) or pattern[at] == "[":
            raise _UnclearError
        at += 2 if pattern[at] == "\\" else 1
    raise _UnclearError


def _group_end(pattern: str, at: int) -> int:
    """Return where a group ends; what is in it is not looked at."""
    depth = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "(":
            if pattern.startswith("(?", at) and not pattern.startswith("(?:", at):
                raise _UnclearError
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        elif sign == "[":
            at = _class_end(pattern, at)
            continue
        elif sign == "\\":
            if pattern[at + 1 : at + 2] in {"Q", "E"}:
                raise _UnclearError
            at += 1
        at += 1
    raise _UnclearError


def _best(items: list[_Item], *, folded: bool) -> tuple[PartKind | None, str] | None:
    """Return the longest text that an alternative needs and where; the kind None for all that the text may be."""
    starts = bool(items) and items[0] == (None, "^")
    ends = len(items) > int(starts) and items[-1] == (None, "$")
    inner = items[int(starts) : len(items) - int(ends)]
    if any(sign for _, sign in inner):
        return None  # an anchor that stands within
    runs: list[tuple[int, str]] = []
    run = ""
    for number, (literal, _) in enumerate([*inner, (None, "")]):
        sign = literal if literal is None or not folded else literal.lower() if literal.isascii() else None
        if sign is not None and folded and sign.isalnum() and sign not in _FOLDED:
            sign = None
        if sign is not None:
            run += sign
        elif run:
            runs.append((number - len(run), run))
            run = ""
    best: tuple[PartKind | None, str] | None = None
    for start, text in runs:
        at_start = starts and start == 0
        at_end = ends and start + len(text) == len(inner)
        kind = PartKind.STARTS if at_start else PartKind.ENDS if at_end else PartKind.CONTAINS
        if at_start and at_end:
            return None, text
        if best is None or (len(text), kind is not PartKind.CONTAINS) > (
            len(best[1]),
            best[0] is not PartKind.CONTAINS,
        ):
            best = kind, text
    return best
