"""Strings by their parts: what they contain, start with, end with.

Contained texts are found in one pass over the string, whatever their number, by an automaton of Aho and Corasick (1975;
the library pyahocorasick). Beginnings of few different lengths are found by hash, length by length. Others are kept
sorted: those of a string are the last text that is not after it and those which that text begins with, as far as the
string begins with them too. Endings are the same read backwards.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import ahocorasick

from domain.decisions.index.labels import Gathered, Label, Labels, alone, anew
from domain.language.demands import PartKind, TextParts

LENGTHS_MAX: Final = 6  # different lengths of beginnings or endings, up to which each is looked up by itself
TEXT_MAX: Final = 64  # characters of a contained text that the automaton holds; of a longer one the last so many

Find = Callable[[str], Iterable[Label]]


def part_finders(filed: Sequence[tuple[Label, TextParts]]) -> list[Find]:
    """Return functions that together give the rules of a string, by the texts that each asks for as a part.

    A rule may be given more than once, and none is given whose texts the string does not have.
    """
    finders: list[Find] = []
    for kind, make in ((PartKind.CONTAINS, _contained), (PartKind.STARTS, _beginnings), (PartKind.ENDS, _endings)):
        texts = Gathered[str]()
        for label, parts in filed:
            if parts.kind is kind:
                for text in parts.texts:
                    texts.put(text, label)
        if texts:
            finders.append(make(texts.done()))
    return finders


def _contained(texts: dict[str, Labels]) -> Find:
    longer = {text: labels for text, labels in texts.items() if len(text) > TEXT_MAX}
    if longer:
        return _contained_by_ends({text: labels for text, labels in texts.items() if text not in longer}, longer)
    automaton: Any = ahocorasick.Automaton()
    for text, labels in texts.items():
        automaton.add_word(text, alone(labels))
    automaton.make_automaton()
    matches = automaton.iter

    def find(value: str) -> list[Label]:
        found: list[Label] = []
        for _, one in matches(value):
            if type(one) is tuple:
                found += one
            else:
                found.append(one)
        return found

    return find


def _contained_by_ends(texts: dict[str, Labels], longer: dict[str, Labels]) -> Find:
    """Find texts of which some are too long for an automaton, by the ends of those."""
    by_end: dict[str, list[tuple[str, Labels]]] = {text: [] for text in texts}
    for text, labels in longer.items():
        by_end.setdefault(text[-TEXT_MAX:], []).append((text, labels))
    automaton: Any = ahocorasick.Automaton()
    for end, ending in by_end.items():
        automaton.add_word(end, (texts.get(end, ()), ending))
    automaton.make_automaton()
    matches = automaton.iter

    def find(value: str) -> list[Label]:
        found: list[Label] = []
        for last, (labels, ending) in matches(value):
            found += labels
            for text, some in ending:
                if value.endswith(text, 0, last + 1):
                    found += some
        return found

    return find


def _by_bisection(texts: dict[str, Labels]) -> Find:
    """Find by bisection among the sorted texts, then along the texts that are beginnings of the one found."""
    ordered = sorted(texts)
    above: list[int] = []  # by text, the number of the longest other one that it begins with; -1: none
    for number, text in enumerate(ordered):
        other = number - 1
        while other >= 0 and not text.startswith(ordered[other]):
            other = above[other]
        above.append(other)
    labels = [texts[text] for text in ordered]

    def find(value: str) -> Labels:
        number = bisect_right(ordered, value) - 1
        while number >= 0 and not value.startswith(ordered[number]):
            number = above[number]
        if number < 0:
            return ()
        found = labels[number]
        while (number := above[number]) >= 0:
            found += labels[number]
        return found

    return find


def _endings(texts: dict[str, Labels]) -> Find:
    if len({len(text) for text in texts}) <= LENGTHS_MAX:
        return _by_length(texts, lambda length: slice(-length, None))
    find = _by_bisection({text[::-1]: labels for text, labels in texts.items()})
    return lambda value: find(value[::-1])


def _beginnings(texts: dict[str, Labels]) -> Find:
    if len({len(text) for text in texts}) <= LENGTHS_MAX:
        return _by_length(texts, slice)
    return _by_bisection(texts)


def _by_length(texts: dict[str, Labels], part_of: Callable[[int], slice]) -> Find:
    """Find by hash, for each length that texts have; a shorter string's part is the whole of it, and no text."""
    by_length: dict[int, dict[str, Labels]] = defaultdict(dict)
    for text, labels in texts.items():
        by_length[len(text)][text] = labels
    lookups = [(part_of(length), anew(some).get) for length, some in sorted(by_length.items())]
    (part, get), *others = lookups

    def find(value: str) -> Labels:
        found = get(value[part], ())
        for one, look in others:
            found += look(value[one], ())
        return found

    return find
