"""Demands as functions that many rules share.

What is left to ask of a rule that an index has found is often what thousands of other rules ask too. Where each asked
it by a function of its own, each would be fetched from far memory; a shared one is at hand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from domain.language.assembly import Given
from domain.language.demands import EACH, AllOf, Asked, Demand, PartKind, TextParts, View, viewed
from domain.language.ranges import Values

SHARED_MAX: Final = 4_096  # functions, and demands waiting for a second rule to ask for them, that are kept
_ITEMS_MAX: Final = 4
_STEPS_MAX: Final = 16
_INTERVALS_MAX: Final = 4
_INDENT: Final = " "

_shared: dict[tuple[Asked, ...], Given | None] = {}


def unmet_items(asked: Asked | None, met: int) -> tuple[Asked, ...]:
    """Return what is left of a demand, given in bits which items of it are met; of a single one bit 0 is all."""
    if asked is None:
        return ()
    items = asked.items if isinstance(asked, AllOf) else (asked,)
    return tuple([item for number, item in enumerate(items) if not met >> number & 1])


def shared_test(items: tuple[Asked, ...]) -> Given | None:
    """Return the function that tells whether a fact meets all of some demands, one for all rules that ask for it.

    None where it is the first time that these are asked for, as they may be one rule's alone, and for demands that it
    would take longer for than the rule's own condition does.
    """
    if len(items) > _ITEMS_MAX:
        return None
    if items not in _shared:
        if len(_shared) >= SHARED_MAX:
            _shared.clear()
        _shared[items] = None
        return None
    made = _shared[items]
    if made is None:
        made = _shared[items] = function_of(items)
    return made


def function_of(items: Sequence[Asked]) -> Given | None:
    """Make the function that tells whether a fact meets all of some demands; None for demands that it can't be for."""
    writer = _Writer()
    for item in items:
        if not isinstance(item, Demand) or not writer.takes(item):
            return None
        writer.write(item)
    return writer.function()


class _Writer:
    """Writes one demand after the other: its value, and what has to hold for it by the type that the value has."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"viewed": viewed, "LOWER": View.LOWER, "UPPER": View.UPPER}
        self._lines = ["def holds(fact, _context, _decision, _constants=()):"]

    @staticmethod
    def takes(demand: Demand) -> bool:
        if EACH in demand.path or demand.absent or len(demand.path) > _STEPS_MAX:
            return False
        return isinstance(demand.test, TextParts) or len(demand.test.numbers) <= _INTERVALS_MAX

    def write(self, demand: Demand) -> None:
        steps = "".join(f"[{step!r}]" for step in demand.path)
        self._lines += [
            " try:",
            f"  value = fact{steps}",
            " except (LookupError, TypeError):",
            "  return False",
            " kind = type(value)",
        ]
        by_kind = self._by_kind(demand)
        rest = by_kind.pop("")
        word = "if"
        for kind, test in by_kind.items():
            if test != rest:
                self._lines += [f" {word} {kind}:", *_unless(test, "  ")]
                word = "elif"
        if word == "if":
            self._lines += _unless(rest, " ")
        elif rest != "True":
            self._lines += [" else:", *_unless(rest, "  ")]

    def function(self) -> Given:
        exec(compile("\n".join([*self._lines, " return True"]), "<demand>", "exec"), self._names)  # noqa: S102  # nosec B102  # names and constants alone
        made: Given = self._names["holds"]
        return made

    def _by_kind(self, demand: Demand) -> dict[str, str]:
        """Return what has to hold, as text, by what tells the kind; under "" that of all other kinds."""
        test, view = demand.test, demand.view
        seen = "value" if view is View.AS_IS else self._seen(view)
        if isinstance(test, TextParts):
            return {"kind is str": self._part(test, seen), "": "False"}
        by_kind = {"kind is str": self._text(test, seen)}
        if view is not View.AS_IS:
            return by_kind | {"": "False"}
        return by_kind | {
            "kind is float or kind is int": _number(test),
            "kind is bool": " or ".join(f"value is {one}" for one in sorted(test.bools)) or "False",
            "value is None": str(test.null),
            "": str(test.others),
        }

    @staticmethod
    def _seen(view: View) -> str:
        way = "lower" if view is View.LOWER else "upper"
        return f"(value.{way}() if value.isascii() else viewed(value, {view.name}))"

    def _text(self, values: Values, seen: str) -> str:
        if not values.texts:
            return str(values.all_texts_but)
        if len(values.texts) == 1:
            (text,) = values.texts
            return f"{seen} {'!=' if values.all_texts_but else '=='} {text!r}"
        return f"{seen} {'not in' if values.all_texts_but else 'in'} {self._held(values.texts)}"

    def _part(self, parts: TextParts, seen: str) -> str:
        if parts.kind is PartKind.CONTAINS:
            if len(parts.texts) > 1:
                return f"any([part in text for text in ({seen},) for part in {self._held(sorted(parts.texts))}])"
            return f"{min(parts.texts)!r} in {seen}"
        way = "startswith" if parts.kind is PartKind.STARTS else "endswith"
        return f"{seen}.{way}({self._held(tuple(sorted(parts.texts)))})"

    def _held(self, value: Any) -> str:
        name = f"t{len(self._names)}"
        self._names[name] = value
        return name


def _number(values: Values) -> str:
    tests: list[str] = []
    for low, low_in, high, high_in in values.numbers:
        if low == high:
            tests.append(f"value == {_literal(low)}")
            continue
        above = "" if low == -math.inf else f"{_literal(low)} {'<=' if low_in else '<'} "
        below = "" if high == math.inf else f" {'<=' if high_in else '<'} {_literal(high)}"
        tests.append(f"{above}value{below}" if above or below else "True")
    return "True" if "True" in tests else " or ".join(tests) or "False"


def _literal(number: float) -> str:
    return repr(number) if type(number) is float else repr(int(number))


def _unless(test: str, indent: str) -> list[str]:
    """Return the lines after which what has to hold does."""
    if test == "True":
        return [f"{indent}pass"]
    return [f"{indent}return False"] if test == "False" else [f"{indent}if not ({test}): return False"]
