"""What a rule demands of a fact before it can give anything: a tree over paths, for the ruleset's index and for people.

``demanding`` works the tree out from a rule's plan; ``met_by`` is its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from domain.language.ranges import Values

EACH: Final = None  # a step of a path: each element of a list, or each key of an object
EACH_MAX: Final = 100  # elements or keys at an EACH; a fact with more meets whatever is demanded through it
EACH_TEXT_MAX: Final = 1_023  # code points of a string that a path with EACH comes to; a longer one meets it too

Step = str | None


class View(StrEnum):
    """How a string is seen before it is compared; ASCII letters alone change their case."""

    AS_IS = "as-is"
    LOWER = "lower"
    UPPER = "upper"


class PartKind(StrEnum):
    """Where in a string a text must be."""

    CONTAINS = "contains"
    STARTS = "starts"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class TextParts:
    """The strings that contain, start with or end with one of some texts, of which none is empty."""

    kind: PartKind
    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Demand:
    """A rule gives something, or fails, only for facts with a value at ``path`` that passes ``test``.

    ``absent`` says whether it may for facts without the path too; a step into anything but an object leads nowhere.
    Numbers are compared by value, whatever their type: 1 and 1.0 are one, 1 and true are two. With a ``view`` or
    TextParts only strings pass. A path with EACH leads to any number of values, of which one has to pass: to none where
    the list is empty, to what is absent where there is no list or object.

    A path with EACH is also met, whatever is asked there, by more than EACH_MAX elements at an EACH, by a string longer
    than EACH_TEXT_MAX at an EACH or at its end, and by a list or object at its end: for those a rule may reach a limit
    of the evaluation. A demand for no value at all (``Values()``) on such a path stands for just that.
    """

    path: tuple[Step, ...]
    test: Values | TextParts
    absent: bool = False
    view: View = View.AS_IS

    @property
    def values(self) -> Values:
        """The test of a demand that asks for values."""
        assert isinstance(self.test, Values)
        return self.test


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of some demands."""

    items: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of some demands; without any it is never met."""

    items: tuple[Asked, ...]


Asked = Demand | AllOf | AnyOf
_ABSENT: Final = object()
_ANYTHING: Final = object()  # what is too large to be looked at


def met_by(asked: Asked, fact: Any) -> bool:
    """Return whether a fact meets a demand. For one that does not, the rule gives None and does not fail."""
    if isinstance(asked, AllOf):
        return all(met_by(item, fact) for item in asked.items)
    if isinstance(asked, AnyOf):
        return any(met_by(item, fact) for item in asked.items)
    return any(_passes(asked, value) for value in _reached(asked.path, fact))


def _reached(path: tuple[Step, ...], value: Any, after_each: bool = False) -> Iterator[Any]:
    """Return the values that a path leads to, ``_ABSENT`` for each time it leads nowhere."""
    for number, step in enumerate(path):
        if step is None:
            if type(value) is str and len(value) > EACH_TEXT_MAX:
                yield _ANYTHING
            elif type(value) is not list and type(value) is not dict:
                yield _ABSENT
            elif len(value) > EACH_MAX:
                yield _ANYTHING
            else:
                for element in value:
                    yield from _reached(path[number + 1 :], element, after_each=True)
            return
        if type(value) is not dict or step not in value:
            yield _ABSENT
            return
        value = value[step]
    yield _ANYTHING if after_each and _is_large(value) else value


def _is_large(value: Any) -> bool:
    return type(value) is list or type(value) is dict or (type(value) is str and len(value) > EACH_TEXT_MAX)


def _passes(demand: Demand, value: Any) -> bool:
    if value is _ANYTHING:
        return True
    if value is _ABSENT:
        return demand.absent
    test = demand.test
    if isinstance(test, TextParts) or demand.view is not View.AS_IS:
        if type(value) is not str:
            return False
        value = viewed(value, demand.view)
    return has_part(value, test) if isinstance(test, TextParts) else value in test


_LOWER: Final = {upper: upper + 32 for upper in range(65, 91)}
_UPPER: Final = {lower: lower - 32 for lower in range(97, 123)}


def viewed(text: str, view: View) -> str:
    """Return a string as it is seen."""
    if view is View.AS_IS:
        return text
    return text.translate(_LOWER if view is View.LOWER else _UPPER)


def has_part(text: str, parts: TextParts) -> bool:
    """Return whether a string has one of some texts in its place."""
    texts = parts.texts
    if parts.kind is PartKind.STARTS:
        return any(text.startswith(part) for part in texts)
    if parts.kind is PartKind.ENDS:
        return any(text.endswith(part) for part in texts)
    return any(part in text for part in texts)
