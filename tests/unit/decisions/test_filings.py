"""What a ruleset tells of how its rules are found."""

from __future__ import annotations

from domain.decisions.index import RULES_MIN, FilingKind, filings_of
from domain.decisions.ruleset import BoundRule, Ruleset
from domain.language import compile_rule
from domain.language.demands import Asked, View
from domain.rules.content import Priority


def rule(number: int, text: str) -> BoundRule:
    return BoundRule(
        f"id-{number}", f"rule {number:03}", 1, Priority.LOW, compile_rule(text), number.to_bytes(32), None, None
    )


def some_like(text: str) -> list[str]:
    return [text.replace("#", str(number)) for number in range(RULES_MIN)]


def filed(texts: list[str]) -> list[tuple[tuple[str, FilingKind, View], ...]]:
    """Return the paths, structures and views that rules are found by, those of all filings of a rule in turn."""
    found = filings_of({number: compile_rule(text).demand for number, text in enumerate(texts)})
    return [
        tuple(
            (".".join(step or "[]" for step in demand.path), kind, demand.view)
            for filing in found[number]
            for demand, kind in zip(filing.demands, filing.kinds, strict=True)
        )
        for number in range(len(texts))
    ]


def test_each_rule_is_told_by_which_path_structure_and_view_it_is_found() -> None:
    as_is, lower = View.AS_IS, View.LOWER
    for text, expected in (
        ("a.b == '#'", (("a.b", FilingKind.EQUALITY, as_is),)),
        ("a in ['#', 'x#']", (("a", FilingKind.EQUALITY, as_is),)),
        ("a >= #.0 && a < #.5", (("a", FilingKind.RANGE, as_is),)),
        ("a.contains('word#')", (("a", FilingKind.CONTAINS, as_is),)),
        ("a.lowerAscii().startsWith('word#')", (("a", FilingKind.STARTS, lower),)),
        ("a.endsWith('word#')", (("a", FilingKind.ENDS, as_is),)),
        ("xs.exists(x, x.k == '#')", (("xs.[].k", FilingKind.EQUALITY, as_is),)),
        ("a == '#' || b == '#'", (("a", FilingKind.EQUALITY, as_is), ("b", FilingKind.EQUALITY, as_is))),
    ):
        assert set(filed(some_like(text))) == {expected}, text


def test_rules_found_by_two_paths_have_both_in_one_filing() -> None:
    texts = [f"a == {number % 5} && b == {number // 5}" for number in range(25)]
    found = filings_of({number: compile_rule(text).demand for number, text in enumerate(texts)})
    for filings in found.values():
        (filing,) = filings
        assert [demand.path for demand in filing.demands] == [("a",), ("b",)]
        assert filing.company == 25
        assert 0 < filing.share < 0.1


def test_rules_that_are_tried_on_every_fact_have_no_filing() -> None:
    texts = [*some_like("a == #"), "a == 1 || true", "then set x = 1"]
    assert filed(texts)[RULES_MIN:] == [(), ()]
    assert filed(some_like("a == #")[:3]) == [(), (), ()]


def test_presence_is_not_taken_for_selective() -> None:
    """A field that rules ask to be there, or not to be null, many facts have: a narrow demand is the better one."""
    for asked in ("a != null", "has(o.a)", "!has(o.a)", "a != true", "!(a == null)"):
        found = filings_of(
            {number: compile_rule(text).demand for number, text in enumerate(some_like(f"{asked} && b == '#'"))}
        )
        assert [demand.path for filings in found.values() for one in filings for demand in one.demands] == (
            [("b",)] * RULES_MIN
        ), asked
    shares = [one.share for filings in filings_of(demands_of("a != null")).values() for one in filings]
    assert shares
    assert min(shares) >= 0.5


def demands_of(text: str) -> dict[float, Asked | None]:
    return {number: compile_rule(one).demand for number, one in enumerate(some_like(text))}


def test_a_fact_that_is_too_large_to_look_at_is_taken_to_be_rare() -> None:
    """Demands through lists stand beside one for large lists, which keeps no rule from being found."""
    assert set(filed(some_like("a == '#' && xs.exists(x, x == b)"))) == {
        (
            ("xs.[]", FilingKind.EQUALITY, View.AS_IS),
            ("b.[]", FilingKind.EQUALITY, View.AS_IS),
            ("a", FilingKind.EQUALITY, View.AS_IS),
        )
    }


def test_a_long_list_of_rare_texts_is_looked_up() -> None:
    """Thousands of texts are in few strings, and one rule that looks for them takes as long as many rules."""
    names = ", ".join(f"'\\\\name{number}.sys'" for number in range(2_000))
    for macro in ("endsWith", "contains"):
        texts = [f"[{names}].exists(x, image.lowerAscii().{macro}(x))", *some_like("a == '#'")]
        assert filed(texts)[0] == (("image", FilingKind(macro.removesuffix("With")), View.LOWER),)
    beside = some_like("a == '#'")
    known = ", ".join(f"'{number:064}'" for number in range(300))
    (found, *_) = filed([f"hash in [{known}] || {texts[0]} || [{names}].exists(x, cmd.contains(x))", *beside])
    assert [path for path, _, _ in found] == ["hash", "image", "cmd"]
    parts = " || ".join(f"(cmd.contains('word {n}') && image.endsWith('{n}.exe'))" for n in range(500))
    assert len(filed([parts, *some_like("a == '#'")])[0]) == 500


def test_a_ruleset_tells_of_the_rules_that_a_type_meets_also_after_changes() -> None:
    texts = [f"on t.*\nwhen a == {number}\nthen set x = 1" for number in range(600)]
    ruleset = Ruleset(1, [rule(number, text) for number, text in enumerate(texts)])
    newer = rule(1_000, "on t.a\nwhen b == 1\nthen set x = 1")
    changed = ruleset.changed(2, [number.to_bytes(32) for number in range(100)], [newer])
    found = changed.filings("t.a")
    assert [one for one, _ in found] == list(changed.plan("t.a").rules)
    assert {len(filings) for one, filings in found if one.name != newer.name} == {1}
    assert [filings for one, filings in found if one.name == newer.name] == [()]
    assert len(changed.filings("t.b")) == 500
    assert changed.filings("u") == []
