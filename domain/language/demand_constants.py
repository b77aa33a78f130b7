"""What tests of one path with constants demand: comparisons, membership, and parts of strings."""

from __future__ import annotations

from typing import Any, Final

from domain.language.demand_paths import PathReader, Subject
from domain.language.demanded_values import CONTAINERS, compared_values, members_of
from domain.language.demands import EACH, Asked, Demand, PartKind, Step, TextParts, View, viewed
from domain.language.joining import ANY_TEXT, NEVER, any_of, few
from domain.language.library.strings import is_pattern
from domain.language.native import COMPARISONS
from domain.language.patterns import required_by
from domain.language.plan import Invoke, Part
from domain.language.ranges import EVERYTHING, Values

FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
TEXT_KINDS: Final = {"contains": PartKind.CONTAINS, "startsWith": PartKind.STARTS, "endsWith": PartKind.ENDS}
OTHERS: Final = object()  # a test is of none of these kinds
_NO_TEXT: Final = ANY_TEXT.complement()


class ConstantReader(PathReader):
    """Reads the demands of tests with constants. As in ``demanding``, ``want`` is the end and ``strict`` how sure."""

    def _sides(self, part: Invoke) -> tuple[Part, str, Any] | None:
        """Return what a comparison compares, by which operator, and the constant to the right of it."""
        left, right = part.arguments
        constant = self.constant(right)
        if constant is not None:
            return left, part.name, constant.value
        constant = self.constant(left)
        return None if constant is None else (right, FLIPPED[part.name], constant.value)

    def _compared(self, part: Invoke, want: bool, strict: bool) -> Any:
        sides = self._sides(part)
        if sides is None:
            return OTHERS
        left, operator, value = sides
        subject = self._subject(left)
        if subject is None or (strict and subject[1]):
            return OTHERS
        path, _, view, trimmed = subject
        if view is not View.AS_IS or trimmed:
            if type(value) is not str or operator in COMPARISONS:
                return OTHERS if strict else Demand(path, ANY_TEXT)
            same = (operator == "==") == want
            return self._texts(path, frozenset({value}), same, strict, view, trimmed)
        values = compared_values(operator, value, want, strict)
        if values is None:
            return OTHERS
        return Demand(path, values, strict) if values or strict else NEVER

    def _texts(
        self, path: tuple[Step, ...], texts: frozenset[str], same: bool, strict: bool, view: View, trimmed: bool
    ) -> Asked | None:
        """Return what is asked by a string, as it is seen, being one of some texts, or being none of them."""
        if strict and (trimmed or not same):
            return None
        if not same:
            if trimmed:
                return Demand(path, ANY_TEXT)
            return Demand(path, few(Values(texts=texts, all_texts_but=True)), False, view)
        if trimmed:
            return self._parts(path, TextParts(PartKind.CONTAINS, texts), strict, view)
        texts = frozenset(text for text in texts if viewed(text, view) == text)
        found: Asked = Demand(path, few(Values(texts=texts)), False, view) if texts else NEVER
        return any_of([found, Demand(path, _NO_TEXT, True)]) if strict else found

    def _parts(self, path: tuple[Step, ...], parts: TextParts, strict: bool, view: View) -> Asked | None:
        texts = parts.texts
        found: Asked
        if "" in texts:
            found = Demand(path, ANY_TEXT)
        else:
            if view is not View.AS_IS:
                texts = frozenset(text for text in texts if viewed(text, view) == text)
            found = Demand(path, TextParts(parts.kind, texts), False, view) if texts else NEVER
        return any_of([found, Demand(path, _NO_TEXT, True)]) if strict else found

    def _membership(self, part: Invoke, want: bool, strict: bool) -> Any:
        left, right = part.arguments
        constant = self.constant(right)
        if constant is not None:
            items = list(constant.value) if type(constant.value) in {list, dict} else None
            subject = self._subject(left)
            if items is None or subject is None or (strict and subject[1]):
                return OTHERS
            path, _, view, trimmed = subject
            if view is not View.AS_IS or trimmed:
                texts = frozenset(item for item in items if type(item) is str)
                return self._texts(path, texts, want, strict, view, trimmed)
            values = members_of(items, want)
            if values is None:
                return OTHERS
            return Demand(path, values, strict) if values or strict else NEVER
        constant, located = self.constant(left), self.path(right)
        if constant is None or located is None or (strict and (located[1] or not want)):
            return OTHERS
        if not want:
            return Demand(located[0], CONTAINERS)
        return Demand((*located[0], EACH), compared_values("==", constant.value, True, False) or EVERYTHING, strict)

    def _text_test(self, part: Invoke, want: bool, strict: bool) -> Any:
        subject, constant = self._subject(part.arguments[0]), self.constant(part.arguments[1])
        if subject is None or constant is None or type(constant.value) is not str or (strict and subject[1]):
            return OTHERS
        path, _, view, trimmed = subject
        if strict and not want:
            return None
        if part.name == "matches":
            return self._matched(subject, constant.value, want, strict)
        if not want:
            return Demand(path, ANY_TEXT) if constant.value else NEVER
        kind = PartKind.CONTAINS if trimmed else TEXT_KINDS[part.name]
        return self._parts(path, TextParts(kind, frozenset({constant.value})), strict, view)

    def _matched(self, subject: Subject, pattern: str, want: bool, strict: bool) -> Asked | None:
        path, _, view, trimmed = subject
        required = required_by(pattern) if want and is_pattern(pattern) else None
        if required is None:
            return None if strict else Demand(path, ANY_TEXT)
        view = View.LOWER if required.folded else view
        test = required.test
        if isinstance(test, Values):
            return self._texts(path, test.texts, True, strict, view, trimmed)
        return self._parts(path, TextParts(PartKind.CONTAINS, test.texts) if trimmed else test, strict, view)
