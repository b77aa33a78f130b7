"""What a value at a path leads to: the rules filed there, or a code that stands for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Final

from domain.decisions.index.labels import Gathered, Label, Labels
from domain.decisions.index.numbers import Numbers, number_finder, numbers_of
from domain.decisions.index.parts import Find, part_finders
from domain.language.demands import EACH, EACH_TEXT_MAX, Demand, PartKind, Step, TextParts, View, viewed
from domain.language.ranges import Values

ENTRIES_PER_RULE_MAX: Final = 64  # places that a rule stands in, on average, for what it does not demand

Path = tuple[Step, ...]
Place = tuple[Path, View]
Filed = Sequence[tuple[Label, Demand]]


@dataclass(slots=True)
class Table:
    """The rules filed under one place: a path, and a view of the strings there.

    A rule is found for the values that it demands; for some others too, where that takes less room: a rule that demands
    another string than one may be found for that one as well. ``unknown`` are all rules of the table: what is of no
    type that JSON has is for each rule to say. ``is_large_too``: a long string or a list leads to all of them.
    ``repeats``: a fact may lead to a rule more than once, here or at this place and another.
    """

    view: View = View.AS_IS
    is_large_too: bool = False
    repeats: bool = False
    texts: dict[str, Any] = field(default_factory=dict)
    other_texts: Any = ()
    parts: list[Find] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    true: Any = ()
    false: Any = ()
    null: Any = ()
    others: Any = ()
    absent: Any = ()
    unknown: Any = ()

    @classmethod
    def of(cls, place: Place, filed: Filed, often: AbstractSet[Label] = frozenset()) -> Table:
        """Make the table of rules filed under a place; those of ``often`` have other demands here or elsewhere."""
        path, view = place
        table = cls(view, EACH in path)
        table.unknown = tuple(dict.fromkeys(label for label, _ in filed))
        table.absent = tuple(label for label, demand in filed if demand.absent)
        valued = [(label, demand.test) for label, demand in filed if isinstance(demand.test, Values)]
        table.parts = part_finders(
            [(label, demand.test) for label, demand in filed if isinstance(demand.test, TextParts)]
        )
        table._file_texts(valued)
        if view is View.AS_IS:
            table.numbers = numbers_of([(label, values.numbers) for label, values in valued])
            table.true = tuple(label for label, values in valued if True in values.bools)
            table.false = tuple(label for label, values in valued if False in values.bools)
            table.null = tuple(label for label, values in valued if values.null)
            table.others = tuple(label for label, values in valued if values.others)
        if table.is_large_too:
            table.others = table.unknown
        table.repeats = (
            table.is_large_too
            or any(_may_repeat(demand) for _, demand in filed)
            or any(label in often for label in table.unknown)
        )
        return table

    @property
    def labels(self) -> Labels:
        """The rules filed here."""
        found: Labels = self.unknown
        return found

    @property
    def tells_texts_apart(self) -> bool:
        """Whether strings lead to different rules."""
        return bool(self.texts or self.parts or self.is_large_too)

    @property
    def can_be_coded(self) -> bool:
        """Whether each value leads to one tuple of rules that is there already."""
        return not self.parts and not self.numbers.chains

    def coded(self, code: Callable[[Labels], int]) -> Table:
        """Return a table that gives, for each value, a code of the rules that it leads to."""
        numbers = self.numbers
        return replace(
            self,
            texts={text: code(labels) for text, labels in self.texts.items()},
            other_texts=code(self.other_texts),
            numbers=replace(
                numbers,
                points={number: code(labels) for number, labels in numbers.points.items()},
                other=code(numbers.other),
                segments=[code(labels) for labels in numbers.segments],
            ),
            true=code(self.true),
            false=code(self.false),
            null=code(self.null),
            others=code(self.others),
            absent=code(self.absent),
            unknown=code(self.unknown),
        )

    def text_finder(self) -> Callable[[str], Any]:
        """Return the function that gives the rules of a string, as the fact has it."""
        texts, other, parts, view, everyone = self.texts, self.other_texts, self.parts, self.view, self.unknown
        longest = EACH_TEXT_MAX if self.is_large_too else None

        def find(value: str) -> Any:
            if longest is not None and len(value) > longest:
                return everyone
            if view is not View.AS_IS:
                value = seen(value, view)
            found = texts.get(value, other)
            for part in parts:
                found = [*found, *part(value)]
            return found

        if not parts and view is View.AS_IS and longest is None:
            return lambda value: texts.get(value, other)
        if len(parts) == 1 and not texts and not other and view is View.AS_IS and longest is None:
            return parts[0]
        return find

    def number_finder(self) -> Callable[[float], Any]:
        """Return the function that gives the rules of a number."""
        return number_finder(self.numbers)

    def _file_texts(self, filed: Sequence[tuple[Label, Values]]) -> None:
        found = Gathered[str]()
        for label, values in filed:
            if not values.all_texts_but:
                for text in values.texts:
                    found.put(text, label)
        others = [(label, values.texts) for label, values in filed if values.all_texts_but]
        named = {text for _, texts in others for text in texts}
        self.texts = found.done()
        either = named | self.texts.keys()
        all_others = tuple(label for label, _ in others)
        if len(either) * len(others) > ENTRIES_PER_RULE_MAX * len(filed):
            self.parts.append(lambda _: all_others)
        elif others:
            self.other_texts = all_others
            for text in either:
                left = (label for label, texts in others if text not in texts)
                self.texts[text] = (*self.texts.get(text, ()), *left)


def _may_repeat(demand: Demand) -> bool:
    """Return whether a string may have what is demanded more than once."""
    test = demand.test
    if isinstance(test, Values):
        return False
    return test.kind is PartKind.CONTAINS or len(test.texts) > 1


def seen(text: str, view: View) -> str:
    """Return a string as a view shows it, faster than by letters where all of it is ASCII."""
    if text.isascii():
        return text.lower() if view is View.LOWER else text.upper()
    return viewed(text, view)
