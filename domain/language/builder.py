"""The tree's nodes, made as the parser reduces grammar rules; a flat chain of operators gets its precedence here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from domain.language.tokens import Token
from domain.language.tree import (
    Action,
    Binary,
    Branch,
    Call,
    CellTest,
    Conditional,
    Emit,
    Index,
    Let,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Member,
    Name,
    Node,
    On,
    Parameter,
    Span,
    Statement,
    Stop,
    Unary,
    When,
)
from domain.language.values import UINT_MAX, Uint

_PRECEDENCE: Final = {
    "EQ": 1, "NE": 1, "LT": 1, "LE": 1, "GT": 1, "GE": 1, "IN": 1, "PLUS": 2, "MINUS": 2, "STAR": 3, "SLASH": 3,
    "PERCENT": 3,
}  # fmt: skip


class RangeProblem(Exception):  # noqa: N818 - carries a problem's text to the statement's handler
    """A literal outside its type's range."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.message = message
        self.span = span


class Builder:
    """Makes nodes; each method is called with a grammar rule's children when the rule is reduced."""

    def true_literal(self, c: list[Token]) -> Node:
        return _literal(c[0], True)

    def false_literal(self, c: list[Token]) -> Node:
        return _literal(c[0], False)

    def null_literal(self, c: list[Token]) -> Node:
        return _literal(c[0], None)

    def literal(self, c: list[Token]) -> Node:
        return _literal(c[0], c[0].value)

    def uint_literal(self, c: list[Token]) -> Node:
        if c[0].value > UINT_MAX:
            raise RangeProblem("the number is beyond 64 bits", (c[0].start, c[0].end))
        return _literal(c[0], Uint(c[0].value))

    def parameter(self, c: list[Token]) -> Node:
        span = (c[0].start, c[0].end)
        return Parameter(span, span, c[0].value)

    def name(self, c: list[Token]) -> Node:
        span = (c[0].start, c[0].end)
        return Name(span, span, c[0].value, False)

    def rooted_name(self, c: list[Token]) -> Node:
        span = (c[0].start, c[1].end)
        return Name(span, span, c[1].value, True)

    def call(self, c: list[Any]) -> Node:
        return Call((c[0].start, c[-1].end), (c[0].start, c[0].end), c[0].value, None, c[2] if len(c) == 4 else ())

    def rooted_call(self, c: list[Any]) -> Node:
        mark = (c[1].start, c[1].end)
        return Call((c[0].start, c[-1].end), mark, c[1].value, None, c[3] if len(c) == 5 else (), True)

    def group(self, c: list[Any]) -> Node:
        node: Node = replace(c[1], span=(c[0].start, c[2].end))
        return node

    def list_of(self, c: list[Any]) -> Node:
        span = (c[0].start, c[-1].end)
        items = c[1] if len(c) == 3 else []
        return ListOf(span, span, tuple(item for item, _ in items), tuple(optional for _, optional in items))

    def map_of(self, c: list[Any]) -> Node:
        span = (c[0].start, c[-1].end)
        return MapOf(span, span, tuple(c[1]) if len(c) == 3 else ())

    def arguments(self, c: list[Any]) -> tuple[Node, ...]:
        return tuple(c[::2])

    def elements(self, c: list[Any]) -> list[tuple[Node, bool]]:
        return [item if type(item) is tuple else (item, False) for item in c[::2]]

    def optional_element(self, c: list[Any]) -> tuple[Node, bool]:
        return c[1], True

    def entries(self, c: list[Any]) -> list[Any]:
        return c[::2]

    def entry(self, c: list[Any]) -> tuple[Node, Node, bool]:
        return c[0], c[2], False

    def optional_entry(self, c: list[Any]) -> tuple[Node, Node, bool]:
        return c[1], c[3], True

    def field(self, c: list[Any]) -> Node:
        return Member((c[0].span[0], c[2].end), (c[2].start, c[2].end), c[0], c[2].value, False)

    def optional_field(self, c: list[Any]) -> Node:
        return Member((c[0].span[0], c[2].end), (c[2].start, c[2].end), c[0], c[2].value, True)

    def method(self, c: list[Any]) -> Node:
        arguments = c[4] if len(c) == 6 else ()
        return Call((c[0].span[0], c[-1].end), (c[2].start, c[2].end), c[2].value, c[0], arguments)

    def index(self, c: list[Any]) -> Node:
        return Index((c[0].span[0], c[3].end), (c[1].start, c[3].end), c[0], c[2], False)

    def optional_index(self, c: list[Any]) -> Node:
        return Index((c[0].span[0], c[4].end), (c[1].start, c[4].end), c[0], c[3], True)

    def signed(self, c: list[Any]) -> Node:
        node: Node = c[-1]
        for token in reversed(c[:-1]):
            span = (token.start, node.span[1])
            if (
                token.type == "MINUS"
                and isinstance(node, Literal)
                and type(node.value) in {int, float}
                and (node.value > 0 or type(node.value) is float)
                and node.mark == node.span
                and node.span[0] >= token.end
                and token is c[-2]
            ):
                node = Literal(span, span, -node.value)
            else:
                node = Unary(span, (token.start, token.end), token.value, node)
        return node

    def operation(self, c: list[Any]) -> Node:
        alternatives: list[Node] = []
        start = 0
        marks: list[Token] = []
        for position in range(1, len(c), 2):
            if c[position].type == "OROR":
                alternatives.append(_conjunction(c[start:position]))
                marks.append(c[position])
                start = position + 1
        last = _conjunction(c[start:] if start else c)
        if not alternatives:
            return last
        return _logic("||", [*alternatives, last], marks[0])

    def conditional(self, c: list[Any]) -> Node:
        test, question, then, _, otherwise = c
        span = (test.span[0], otherwise.span[1])
        mark = (question.start, question.end)
        if isinstance(otherwise, Conditional):
            return Conditional(span, mark, ((test, then), *otherwise.branches), otherwise.otherwise)
        return Conditional(span, mark, ((test, then),), otherwise)

    def head_path(self, c: list[Any]) -> tuple[str, tuple[str, ...], Span]:
        path, span = c[1]
        return c[0].value, path, (c[0].start, span[1])

    def head_emit(self, c: list[Token]) -> tuple[str, tuple[str, ...], Span]:
        return "emit", (c[1].value,), (c[0].start, c[1].end)

    def cell(self, c: list[Any]) -> tuple[CellTest, ...]:
        return tuple(c[::2])

    def cell_value(self, c: list[Any]) -> CellTest:
        return CellTest(c[0].span, "value", (c[0],))

    def cell_comparison(self, c: list[Any]) -> CellTest:
        return CellTest((c[0].start, c[1].span[1]), c[0].value, (c[1],))

    def cell_range(self, c: list[Any]) -> CellTest:
        return CellTest((c[0].span[0], c[2].span[1]), "range", (c[0], c[2]))

    def path(self, c: list[Token]) -> tuple[tuple[str, ...], Span]:
        return tuple(token.value for token in c[::2]), (c[0].start, c[-1].end)

    def rule_on(self, c: list[Token]) -> Statement:
        return On((c[0].start, c[0].end), tuple((token.value, (token.start, token.end)) for token in c[1::2]))

    def rule_let(self, c: list[Any]) -> Statement:
        return Let((c[0].start, c[0].end), c[1].value, (c[1].start, c[1].end), c[3])

    def rule_when(self, c: list[Any]) -> Statement:
        return When((c[0].start, c[0].end), c[1])

    def rule_then(self, c: list[Token]) -> Statement:
        return Branch((c[0].start, c[0].end), "then")

    def rule_else(self, c: list[Token]) -> Statement:
        return Branch((c[0].start, c[0].end), "else")

    def rule_set(self, c: list[Any]) -> Statement:
        path, span = c[1]
        return Action((c[0].start, c[0].end), "set", path, span, c[3])

    def rule_add(self, c: list[Any]) -> Statement:
        path, span = c[3]
        return Action((c[0].start, c[0].end), "add", path, span, c[1])

    def rule_append(self, c: list[Any]) -> Statement:
        path, span = c[3]
        return Action((c[0].start, c[0].end), "append", path, span, c[1])

    def rule_emit(self, c: list[Any]) -> Statement:
        return Emit((c[0].start, c[0].end), c[1].value, (c[1].start, c[1].end), c[2])

    def rule_stop(self, c: list[Token]) -> Statement:
        return Stop((c[0].start, c[0].end))


def _literal(token: Token, value: Any) -> Literal:
    span = (token.start, token.end)
    return Literal(span, span, value)


def _logic(operator: str, items: list[Node], mark: Token) -> Logic:
    return Logic((items[0].span[0], items[-1].span[1]), (mark.start, mark.end), operator, tuple(items))


def _conjunction(chain: list[Any]) -> Node:
    items: list[Node] = []
    start = 0
    mark: Token | None = None
    for position in range(1, len(chain), 2):
        if chain[position].type == "ANDAND":
            items.append(_relation(chain[start:position]))
            mark = mark or chain[position]
            start = position + 1
    last = _relation(chain[start:] if start else chain)
    return last if mark is None else _logic("&&", [*items, last], mark)


def _relation(chain: list[Any]) -> Node:
    """Fold a chain of comparisons and arithmetic from the left, by precedence."""
    if len(chain) == 1:
        return chain[0]  # type: ignore[no-any-return]  # operands stand at even places, operators between
    if len(chain) == 3:
        return _binary(chain[0], chain[1], chain[2])
    operands: list[Node] = [chain[0]]
    operators: list[Token] = []
    for position in range(1, len(chain), 2):
        operator = chain[position]
        level = _PRECEDENCE[operator.type]
        while operators and _PRECEDENCE[operators[-1].type] >= level:
            right = operands.pop()
            operands.append(_binary(operands.pop(), operators.pop(), right))
        operators.append(operator)
        operands.append(chain[position + 1])
    while operators:
        right = operands.pop()
        operands.append(_binary(operands.pop(), operators.pop(), right))
    return operands[0]


def _binary(left: Node, operator: Token, right: Node) -> Node:
    return Binary((left.span[0], right.span[1]), (operator.start, operator.end), operator.value, left, right)
