"""Parts of strings: a rule is found for the strings that have one of its texts, and for no others."""

from __future__ import annotations

import random

import pytest

from domain.decisions.engine import decide
from domain.decisions.index.parts import LENGTHS_MAX, TEXT_MAX, part_finders
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import compile_rule
from domain.language.demands import PartKind, TextParts, has_part
from domain.rules.content import Priority
from tests.fakes.handmade import fact


def found_in(text: str, filed: list[tuple[float, TextParts]]) -> set[float]:
    return {label for find in part_finders(filed) for label in find(text)}


@pytest.mark.parametrize("kind", PartKind)
def test_just_the_rules_are_found_whose_texts_a_string_has(kind: PartKind) -> None:
    """Texts within one another, and texts that are longer than an automaton takes, with ends in common."""
    chance = random.Random(4)
    some = ["".join(chance.choice("ab") for _ in range(chance.choice((1, 2, 3, 5)))) for _ in range(12)]
    end = "".join(chance.choice("ab") for _ in range(TEXT_MAX))
    texts = [*some, end, *(f"{text}{end}" for text in some), *(f"{end}{text}" for text in some)]
    filed = [
        (float(label), TextParts(kind, frozenset(chance.sample(texts, chance.randint(1, 3))))) for label in range(30)
    ]
    strings = [f"{before}{text}{after}" for text in texts for before in ("", "b", "ab") for after in ("", "a", "ba")]
    for value in strings:
        assert found_in(value, filed) == {label for label, parts in filed if has_part(value, parts)}, value


def test_a_rule_for_a_long_text_does_not_match_what_has_only_its_end() -> None:
    """What is found by the index alone, without its condition being evaluated, has the text as a whole."""
    text = "begin" + "x" * TEXT_MAX
    sources = [f'command.contains("{text}")', *(f'command.contains("word {number}")' for number in range(30))]
    rules = [
        BoundRule(f"id-{n}", f"rule {n:02}", 1, Priority.LOW, compile_rule(source), n.to_bytes(32), None, None)
        for n, source in enumerate(sources)
    ]
    for command, matches in ((text[1:], 0), (f"a {text} b", 1), (text[-TEXT_MAX:], 0), ("word 3", 1)):
        assert len(decide(Ruleset(1, rules), fact({"command": command})).matches) == matches


@pytest.mark.parametrize("kind", [PartKind.STARTS, PartKind.ENDS])
@pytest.mark.parametrize("lengths", [1, LENGTHS_MAX, LENGTHS_MAX + 1])
def test_beginnings_and_endings_are_found_whatever_number_of_lengths_they_have(kind: PartKind, lengths: int) -> None:
    chance = random.Random(lengths)
    filed = [
        (
            float(label),
            TextParts(kind, frozenset(_letters(chance, 1 + number % lengths) for number in (label, label + 1))),
        )
        for label in range(40)
    ]
    for length in range(lengths + 3):
        for _ in range(30):
            value = _letters(chance, length)
            expected = {label for label, parts in filed if has_part(value, parts)}
            assert found_in(value, filed) == expected, value


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choice("ab") for _ in range(count))
