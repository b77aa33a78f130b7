"""Operators written as Python's own, where that gives the language's result for every value that can be there."""

from __future__ import annotations

from typing import Any, Final

from domain.language.evaluation import UNMETERED_CODE_POINTS_MAX
from domain.language.faults import strict
from domain.language.library.times import timestamp_ns
from domain.language.plan import Const, Invoke, Logic, Part, Select, Variable
from domain.language.text import TextWriter
from domain.language.values import INT_MAX, Uint

_INLINE_ITEMS_MAX: Final = 8
_TIMESTAMP: Final = {True: timestamp_ns, False: strict(timestamp_ns)}  # whether fact data takes part
COMPARISONS: Final = frozenset({"<", "<=", ">", ">="})
_NUMBERS: Final = frozenset({"int", "uint", "double"})
_OFTEN_PLAIN: Final = frozenset({"json", "string", "int", "double"})
_NATIVE: Final = frozenset({"string", "bool", "bytes", "timestamp", "duration"})


class OperatorWriter(TextWriter):
    """Writes operators; expressions are its heirs' part."""

    def _equality(self, part: Invoke) -> str | None:
        name, (left, right) = part.name, part.arguments
        if isinstance(left, Const) and not isinstance(right, Const):
            left, right = right, left
        if isinstance(right, Const):
            value = right.value
            kind = type(value)
            if value is None or kind is bool:
                return f"({self._named(left)} {'is' if name == '==' else 'is not'} {value!r})"
            if kind is str:
                return f"({self.value(left)} {name} {self._literal(value)})"
            if is_safe_number(value):
                return self._equals_number(name, left, value)
        kinds = {left.type.kind, right.type.kind}
        if kinds in ({"timestamp"}, {"duration"}):
            return f"({self._nanoseconds(left)} {name} {self._nanoseconds(right)})"
        if len(kinds) == 1 and kinds <= _NUMBERS | _NATIVE:
            return f"({self.value(left)} {name} {self.value(right)})"
        if kinds <= _OFTEN_PLAIN:
            return self._equals_often_plain(part, left, right)
        return None

    def _equals_often_plain(self, part: Invoke, left: Part, right: Part) -> str:
        """Return Python's own equality for two strings, ints or doubles, which fact data mostly are."""
        kind, one, other = self._temporary(), self._temporary(), self._temporary()
        same = f"({kind} := type({one} := {self.value(left)})) is type({other} := {self.value(right)})"
        arguments = f"{one}, {other}"
        plain = f"{kind} in PLAIN"
        if part.metered:
            self.uses_state = True
            arguments = f"*spend(s, {arguments})"
            plain += f" and ({kind} is not str or len({one}) < {UNMETERED_CODE_POINTS_MAX})"
        return f"({one} {part.name} {other} if {same} and {plain} else {self._callable(part.call)}({arguments}))"

    def _named(self, part: Part) -> str:
        """Return the text of an expression that is no literal, as Python warns of identity with one."""
        text = self.value(part)
        if text[0] not in "0123456789'\"" and text[:2] not in {"(-", "b'", 'b"'}:
            return text
        name = self._temporary()
        self._write(f"{name} = {text}")
        return name

    def _equals_number(self, name: str, left: Part, value: Any) -> str | None:
        kind = left.type.kind
        if kind not in _NUMBERS and kind != "json":
            return None
        number = self._literal(int(value) if type(value) is Uint else value)
        if kind in _NUMBERS or value not in {0, 1}:
            return f"({self.value(left)} {name} {number})"
        held = self._temporary()
        twin = "True" if value == 1 else "False"
        text = f"(({held} := {self.value(left)}) == {number} and {held} is not {twin})"
        return text if name == "==" else f"(not {text})"

    def _membership(self, subject: Part, items: list[Any]) -> str | None:
        """Return ``x in [constants]`` by Python's own, where it is the language's: strings, and numbers but 0 and 1."""
        if items and all(type(item) is str for item in items):
            if len(items) <= _INLINE_ITEMS_MAX:
                return f"({self.value(subject)} in {self._constant(tuple(items))})"
            name = self._temporary()
            return f"(type({name} := {self.value(subject)}) is str and {name} in {self._constant(frozenset(items))})"
        if subject.type.kind not in {"json", "int", "double"} or not items or len(items) > _INLINE_ITEMS_MAX:
            return None
        if all(is_safe_number(item) and item not in {0, 1} for item in items):
            numbers = tuple(int(item) if type(item) is Uint else item for item in items)
            return f"({self.value(subject)} in {self._constant(numbers)})"
        return None

    def _comparison(self, name: str, left: Part, right: Part) -> str | None:
        kinds = left.type.kind, right.type.kind
        if kinds[0] == kinds[1] and kinds[0] in {"timestamp", "duration"}:
            return f"({self._nanoseconds(left)} {name} {self._nanoseconds(right)})"
        safe = any(isinstance(part, Const) and is_safe_number(part.value) for part in (left, right))
        if (
            (set(kinds) <= _NUMBERS and (safe or kinds[0] == kinds[1]))
            or (kinds[0] == kinds[1] and kinds[0] in _NATIVE)
            or set(kinds) == {"json", "string"}
        ):
            return f"({self.value(left)} {name} {self.value(right)})"
        if not safe:
            return None
        held = self._temporary()
        if kinds[0] == "json" and kinds[1] in _NUMBERS:
            subject, compared = self.value(left), f"{held} {name} {self.value(right)}"
        elif kinds[1] == "json" and kinds[0] in _NUMBERS:
            subject, compared = self.value(right), f"{self.value(left)} {name} {held}"
        else:
            return None
        return f"({compared} if ({held} := {subject}) is not True and {held} is not False else not_a_number({held}))"

    def _nanoseconds(self, part: Part) -> str:
        """Return a timestamp's or duration's number of nanoseconds, without making an object for it where that goes."""
        if isinstance(part, Const):
            return f"({part.value.ns})"
        if isinstance(part, Invoke):
            if part.name == "timestamp":
                return f"{self._callable(_TIMESTAMP[part.tainted])}({self.value(part.arguments[0])})"
            if part.name == "-" and all(operand.type.kind == "timestamp" for operand in part.arguments):
                return f"between_ns({', '.join(map(self._nanoseconds, part.arguments))})"
        return f"{self.value(part)}.ns"

    def _part_of_time(self, part: Invoke) -> str | None:
        """Return a part of a timestamp in a time zone that is known."""
        of_ns = getattr(part.call, "of_ns", None)
        if of_ns is None or part.arguments[0].type.kind != "timestamp":
            return None
        return f"{self._constant(of_ns)}({self._nanoseconds(part.arguments[0])})"

    def _arithmetic(self, part: Invoke) -> str | None:
        """Return arithmetic with Python's own operator where it is of doubles, with the function for all else."""
        left, right = part.arguments
        kinds = left.type.kind, right.type.kind
        if not set(kinds) <= {"double", "json", "int"} or kinds == ("int", "int"):
            return None
        if part.name == "/" and not (isinstance(right, Const) and right.value):
            return None
        if "int" in kinds and not any(isinstance(side, Const) for side in (left, right)):
            return None
        operands: list[str] = []
        checks: list[str] = []
        names: list[str] = []
        for side in (left, right):
            text = self.value(side)
            if side.type.kind == "json":
                name = self._temporary()
                check = f"type({name} := {text}) is float"
                if side is right and checks and part.name == "*":
                    # A price times a count is common; above the ints it is a uint, which is not mixed.
                    check += f" or type({name}) is int and {name} <= {INT_MAX}"
                checks.append(f"({check})")
                text = name
            elif not isinstance(side, Const):
                name = self._temporary()
                self._write(f"{name} = {text}")
                text = name
            operands.append(text)
            names.append(text)
        quick = f"{operands[0]} {part.name} {operands[1]}"
        if not checks:
            return f"({quick})"
        arguments = ", ".join(names)
        if part.metered:
            self.uses_state = True
            arguments = f"*spend(s, {arguments})"
        return f"({quick} if {' & '.join(checks)} else {self._callable(part.call)}({arguments}))"

    def value(self, part: Part) -> str:
        """Return the text of an expression."""
        raise NotImplementedError


def is_plain(part: Logic) -> bool:
    """Return whether every item of a chain fails on the same values, so that none can absorb what another does.

    That is so where all compare one path with constants, by equality, or in order with constants of one kind: ranges,
    and alternatives of one value.
    """
    subject: Part | None = None
    kinds: set[str] = set()
    for item in part.items:
        if not isinstance(item, Invoke) or len(item.arguments) != 2:
            return False
        left, right = item.arguments
        if isinstance(left, Const):
            left, right = right, left
        if not isinstance(right, Const) or not _same_path(subject or left, left):
            return False
        subject = left
        value = right.value
        if item.name in {"==", "!="}:
            kinds.add("==")
            if not (value is None or type(value) in {str, bool} or is_safe_number(value)):
                return False
        elif item.name in COMPARISONS:
            kinds.add("string" if type(value) is str else "number")
            if not (type(value) is str or is_safe_number(value)):
                return False
        else:
            return False
    return len(kinds) == 1 and subject is not None and subject.type.kind in {"json", "string", *_NUMBERS}


def _same_path(one: Part, other: Part) -> bool:
    while isinstance(one, Select) and isinstance(other, Select):
        if one.field != other.field or one.optional or other.optional:
            return False
        one, other = one.operand, other.operand
    return isinstance(one, Variable) and isinstance(other, Variable) and one.name == other.name


def is_safe_number(value: Any) -> bool:
    """Return whether Python compares a constant with any number as the language does: all but the edge of 64 bits."""
    return type(value) in {int, Uint, float} and -(2**62) < value < 2**62
