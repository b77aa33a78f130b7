"""Tests of strings for constants, written as Python's own: one expression for all tests of one string side by side.

Rules made of lists of known texts test one string for hundreds of them. All such tests fail on the same values, those
that are no string, so that none can absorb what another does: they are evaluated together, the string read once, and
alternatives are looked for in one go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from domain.language.evaluation import UNMETERED_CODE_POINTS_MAX
from domain.language.lets import let_number
from domain.language.library.strings import lower_ascii
from domain.language.limits import SOURCE_CODE_POINTS_MAX
from domain.language.native import OperatorWriter, is_plain
from domain.language.plan import Const, Invoke, Logic, Loop, Part, Select, Variable

_DEPTH_MAX: Final = 8  # of tests inside one another that are one expression
_SEARCHES: Final = frozenset({"contains", "startsWith", "endsWith"})
_EQUALITIES: Final = frozenset({"==", "!="})
_VIEWS: Final = frozenset({"lowerAscii", "upperAscii"})

Key = tuple[object, ...]


class SearchWriter(OperatorWriter):
    """Writes tests of strings; expressions are its heirs' part."""

    def search(self, part: Part) -> str | None:
        """Return the text of a test of one string for constants; None for a part that is not such a test."""
        subject = _subject(part, 0)
        if subject is None:
            return None
        text = self.value(subject)
        if subject.type.kind == "string" and _looks_once(part):
            return self._search_of(part, text)
        held = self._temporary()
        test = self._search_of(part, held)
        if subject.type.kind == "string":
            return f"({test} if ({held} := {text}) is not None else None)"
        refused = f"{self._callable(_first_search(part).call)}({held}, '')"
        return f"({test} if type({held} := {text}) is str else {refused})"

    def _search_of(self, part: Part, held: str) -> str:
        """Return the text of a test of the string that a name holds."""
        if isinstance(part, Logic):
            return self._searches_of(part, held)
        assert isinstance(part, Invoke)
        name, arguments = part.name, part.arguments
        if name == "!":
            return f"(not {self._search_of(arguments[0], held)})"
        if name == "in":
            return self._one_of(held, _constant(arguments[1]))
        literal = self._literal(_constant_of(part))
        if name in _EQUALITIES:
            return f"({held} {name} {literal})"
        return f"({literal} in {held})" if name == "contains" else f"{held}.{_PYTHON[name]}({literal})"

    def _searches_of(self, part: Logic, held: str) -> str:
        word = " or " if part.operator == "||" else " and "
        alternatives: dict[str, list[str]] = {}
        written: list[str] = []
        for item in part.items:
            if part.operator == "||" and isinstance(item, Invoke) and item.name in _ANY:
                alternatives.setdefault(item.name, []).append(_constant_of(item))
            else:
                written.append(self._search_of(item, held))
        found = [self._any_of(name, held, texts) for name, texts in alternatives.items()]
        return f"({word.join([*found, *written])})"

    def _any_of(self, name: str, held: str, texts: list[str]) -> str:
        if name == "==":
            return self._one_of(held, texts)
        if len(texts) == 1:
            literal = self._literal(texts[0])
            return f"({literal} in {held})" if name == "contains" else f"{held}.{_PYTHON[name]}({literal})"
        constant = self._constant(tuple(dict.fromkeys(texts)))
        return f"holds_any({held}, {constant})" if name == "contains" else f"{held}.{_PYTHON[name]}({constant})"

    def _one_of(self, held: str, texts: list[str]) -> str:
        if len(texts) == 1:
            return f"({held} == {self._literal(texts[0])})"
        return f"({held} in {self._constant(frozenset(texts))})"

    def one_of_many(self, part: Logic) -> str | None:
        """Return the text of alternatives of one path that are all strings, as membership."""
        if part.operator != "||" or len(part.items) < _MANY or any(key_of(item) is None for item in part.items):
            return None
        first = part.items[0]
        assert isinstance(first, Invoke)
        left, right = first.arguments
        texts = [_constant_of(item) for item in part.items if isinstance(item, Invoke)]
        return self._membership(right if isinstance(left, Const) else left, list(texts))

    def lowered(self, part: Invoke) -> str | None:
        """Return the text of ``x.lowerAscii()`` that is worked out once for equal strings, rule after rule."""
        if part.name != "lowerAscii" or part.metered or part.call is not lower_ascii:
            return None
        held = self._temporary()
        return f"(lowered({held} := {self.value(part.arguments[0])}) or lower({held}))"

    def quick_search(self, part: Loop, texts: Any, held: str) -> tuple[Part, str, bool] | None:
        """Return the string that a macro over some constants searches, and the search; None for any other macro.

        The search is the macro's result for the string, which a name holds; the last of the three says whether that is
        so only of a string that no steps are taken for.
        """
        test = part.test
        if part.kind not in {"all", "exists"} or not isinstance(test, Invoke) or len(test.arguments) != 2:
            return None
        if len(part.variables) != 1 or type(texts) is not list or not texts:
            return None
        if test.name not in _SEARCHES and (test.name != "==" or part.kind == "all"):
            return None
        subject, variable = test.arguments
        if test.name == "==" and isinstance(subject, Variable) and subject.name == part.variables[0]:
            subject, variable = variable, subject
        if not isinstance(variable, Variable) or variable.name != part.variables[0]:
            return None
        is_metered = test.metered or subject != _unmetered(subject)
        subject = _unmetered(subject)
        if _string_key(subject) is None or (isinstance(subject, Variable) and subject.name == variable.name):
            return None
        longest = UNMETERED_CODE_POINTS_MAX if is_metered else SOURCE_CODE_POINTS_MAX + 1
        if not all(type(text) is str and len(text) < longest for text in texts):
            return None
        search = self._search_for(test.name, texts, held, every=part.kind == "all")
        return subject, search, is_metered

    def _search_for(self, name: str, texts: list[str], held: str, *, every: bool) -> str:
        """Return the text of a search of the string that a name holds, for any or every one of some texts."""
        if name == "==":
            return self._one_of(held, texts)
        constant = self._constant(tuple(dict.fromkeys(texts)))
        if every:
            return f"{_ALL[name]}({held}, {constant})"
        return f"holds_any({held}, {constant})" if name == "contains" else f"{held}.{_PYTHON[name]}({constant})"


_MANY: Final = 9  # alternatives from which on looking one up is faster than comparing with each
_ANY: Final = _SEARCHES | {"=="}
_PYTHON: Final = {"startsWith": "startswith", "endsWith": "endswith"}
_ALL: Final = {"contains": "holds_all", "startsWith": "starts_with_all", "endsWith": "ends_with_all"}


def gathered(part: Logic) -> list[Part]:
    """Return what a chain joins, with the tests that fail on the same values as one chain, where the first of them is.

    The order of what is joined does not matter: whichever part decides, decides, and missing wins over faults.
    """
    groups: dict[Key, list[Part]] = {}
    for number, item in enumerate(part.items):
        groups.setdefault(key_of(item) or (number,), []).append(item)
    if len(groups) == 1:
        return list(part.items)
    return [items[0] if len(items) == 1 else replace(part, items=tuple(items)) for items in groups.values()]


def is_one_test(part: Logic) -> bool:
    """Return whether no item of a chain can absorb what another does, so that it is written as one expression."""
    return is_plain(part) or _subject(part, 0) is not None


def key_of(part: Part) -> Key | None:
    """Return what is equal for tests that fail on the same values; None for tests that stand for themselves."""
    subject = _subject(part, 1)
    if subject is not None:
        return "string", _string_key(subject)
    if isinstance(part, Invoke) and part.name == "==":
        left, right = part.arguments
        if isinstance(left, Const):
            left, right = right, left
        if isinstance(right, Const) and type(right.value) is str and left.type.kind == "json":
            path = _path_key(left)
            return None if path is None else ("value", path)
    return None


def _subject(part: Part, depth: int) -> Part | None:
    """Return the string that a test is about, if it is about one and fails only where that is none."""
    if isinstance(part, Logic):
        return _common_subject(part, depth)
    if not isinstance(part, Invoke) or part.metered:
        return None
    name, arguments = part.name, part.arguments
    if name == "!":
        return _subject(arguments[0], depth + 1) if depth < _DEPTH_MAX else None
    if len(arguments) != 2:
        return None
    subject, constant = arguments
    if name in _EQUALITIES and isinstance(subject, Const):
        subject, constant = constant, subject
    if not isinstance(constant, Const) or _string_key(subject) is None:
        return None
    if name in _SEARCHES:
        return subject if type(constant.value) is str else None
    if subject.type.kind != "string":
        return None
    if name in _EQUALITIES:
        return subject if type(constant.value) is str else None
    items = constant.value
    is_texts = name == "in" and type(items) is list and bool(items) and all(type(item) is str for item in items)
    return subject if is_texts else None


def _common_subject(part: Logic, depth: int) -> Part | None:
    if depth >= _DEPTH_MAX:
        return None
    first = _subject(part.items[0], depth + 1)
    if first is None:
        return None
    key = _string_key(first)
    for item in part.items[1:]:
        subject = _subject(item, depth + 1)
        if subject is None or _string_key(subject) != key:
            return None
    return first


def _string_key(part: Part) -> Key | None:
    """Return what is equal for the same string: a path, a `let` or a macro's variable, perhaps in one case."""
    views: list[object] = []
    while isinstance(part, Invoke) and part.name in _VIEWS and len(part.arguments) == 1 and not part.metered:
        views.append(part.name)
        part = part.arguments[0]
    path = _path_key(part)
    return None if path is None else (*views, path)


def _path_key(part: Part) -> Key | None:
    steps: list[object] = []
    while True:
        if isinstance(part, Select) and not part.optional:
            steps.append(part.field)
            part = part.operand
        elif isinstance(part, Variable):
            return (*steps, part.name, let_number(part))
        else:
            return None


def _looks_once(part: Part) -> bool:
    """Return whether the text of a test names the string once."""
    while isinstance(part, Invoke) and part.name == "!":
        part = part.arguments[0]
    if not isinstance(part, Logic):
        return True
    names = {item.name if isinstance(item, Invoke) else "" for item in part.items}
    return part.operator == "||" and len(names) == 1 and names <= _ANY


def _first_search(part: Part) -> Invoke:
    """Return the first search in a test; what is compared as fact data may be, is searched."""
    while isinstance(part, Logic) or (isinstance(part, Invoke) and part.name == "!"):
        part = part.items[0] if isinstance(part, Logic) else part.arguments[0]
    assert isinstance(part, Invoke)
    return part


def _unmetered(part: Part) -> Part:
    if isinstance(part, Invoke) and part.name in _VIEWS:
        return replace(part, metered=False, arguments=tuple(map(_unmetered, part.arguments)))
    return part


def _constant(part: Part) -> Any:
    assert isinstance(part, Const)
    return part.value


def _constant_of(part: Invoke) -> Any:
    left, right = part.arguments
    return _constant(right if isinstance(right, Const) else left)
