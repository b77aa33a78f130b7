"""Tokens to a syntax tree, statement by statement, so that one mistake hides no other.

Lark's LALR tables (grammar.lark) recognise each statement; ``builder`` makes the tree's nodes as rules are reduced.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib import resources
from typing import Any, Final

from lark import Lark
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from domain.language import tables
from domain.language.builder import Builder, RangeProblem
from domain.language.limits import PROBLEMS_MAX, SOURCE_CODE_POINTS_MAX, STATEMENTS_MAX
from domain.language.problems import Problem
from domain.language.tokens import KEYWORDS, RESERVED, Positions, Token, scan
from domain.language.tree import (
    Branch,
    Let,
    Node,
    On,
    Rule,
    Statement,
    Table,
    When,
)
from domain.language.values import INT_MAX

_STATEMENTS: Final = ("on", "let", "when", "then", "else", "set", "add", "append", "emit", "stop")


class _Tokens(Lexer):
    """The parser's input is a list of tokens already."""

    def __init__(self, _configuration: Any) -> None:
        pass

    def lex(self, data: Any) -> Any:  # type: ignore[override]
        return iter(data)


_lock: Final = threading.Lock()


@cache
def _parser() -> Lark:
    grammar = resources.files("domain.language").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer=_Tokens,
        start=["expression", "cell", "head_path", "head_emit", *(f"rule_{word}" for word in _STATEMENTS)],
        maybe_placeholders=False,
        transformer=Builder(),
    )


def parser() -> Lark:
    """Return the one parser of the process, made on first use."""
    with _lock:
        return _parser()


def parse_expression(source: str, positions: Positions, problems: list[Problem]) -> Node | None:
    """Parse a text that is one expression."""
    tokens = scan(source, positions, problems, keywords=frozenset())
    if problems:
        return None
    node: Node | None = _parse("expression", tokens, len(source), positions, problems)
    return node


def parse_rule(source: str, positions: Positions, problems: list[Problem]) -> Rule | None:
    """Parse a rule; None when it can't be understood as a whole (``problems`` says why)."""
    if not source.strip():
        problems.append(Problem("empty", "DSL content cannot be empty", 1, 1))
        return None
    if len(source) > SOURCE_CODE_POINTS_MAX:
        problems.append(Problem("too-long", f"the rule is longer than {SOURCE_CODE_POINTS_MAX} characters", 1, 1))
        return None
    lexical: list[Problem] = []
    tokens = scan(source, positions, lexical)
    if any(problem.code != "syntax" for problem in lexical):
        problems.extend(lexical[:PROBLEMS_MAX])
        return None
    chunks = _statements(tokens)
    if not chunks:
        problems.extend(lexical or [Problem("empty", "DSL content cannot be empty", 1, 1)])
        return None
    if len(chunks) > STATEMENTS_MAX:
        span = (chunks[STATEMENTS_MAX][0].start, chunks[STATEMENTS_MAX][0].end)
        problems.append(positions.problem("too-long", f"a rule has at most {STATEMENTS_MAX} statements", span))
        return None
    statements: list[Statement] = []
    wrong = [(problem.line, problem.column) for problem in lexical]
    for number, chunk in enumerate(chunks):
        end = chunks[number + 1][0].start if number + 1 < len(chunks) else len(source)
        start_at, end_at = positions.at(chunk[0].start), positions.at(end)
        mistakes = [p for p, at in zip(lexical, wrong, strict=True) if start_at <= at < end_at or at == end_at]
        if mistakes:
            problems.append(mistakes[0])
            continue
        statement = _statement(chunk, end, positions, problems, alone=len(chunks) == 1)
        if statement is not None:
            statements.append(statement)
    return _arrange(statements, positions, problems)


def _statements(tokens: list[Token]) -> list[list[Token]]:
    """Split the tokens before each statement word."""
    chunks: list[list[Token]] = []
    previous = ""
    for token in tokens:
        # In a table's head a bar comes before a statement word.
        if not chunks or (token.type in _KEYWORD_TYPES and not (previous == "BAR" and chunks[-1][0].type == "TABLE")):
            chunks.append([token])
        else:
            chunks[-1].append(token)
        previous = token.type
    return chunks


_KEYWORD_TYPES: Final = frozenset(word.upper() for word in KEYWORDS)


def _statement(
    chunk: list[Token], end: int, positions: Positions, problems: list[Problem], *, alone: bool
) -> Statement | None:
    first = chunk[0]
    if first.type == "TABLE":
        return tables.parse_table(chunk, positions, problems, _parse)
    if first.type in _KEYWORD_TYPES:
        statement: Statement | None = _parse(f"rule_{first.value}", chunk, end, positions, problems)
        return statement
    if alone:
        condition = _parse("expression", chunk, end, positions, problems)
        return None if condition is None else When((first.start, first.start), condition)
    problems.append(
        positions.problem(
            "syntax",
            f"expected a statement, found {_shown(first)}",
            (first.start, first.end),
            "a condition begins with `when`",
        )
    )
    return None


def _parse(start: str, tokens: list[Token], end: int, positions: Positions, problems: list[Problem]) -> Any:
    try:
        return parser().parse(tokens, start=start)
    except UnexpectedToken as error:
        token: Any = error.token
        if token.type == "$END":
            last = tokens[-1] if tokens else None
            span = (end, end) if last is None else (last.end, last.end)
            message = f"unexpected end of the {'expression' if start == 'expression' else 'statement'}"
            problems.append(positions.problem("syntax", message, span, _ending_hint(error.accepts or error.expected)))
        else:
            problems.append(_unexpected(token, error.accepts or error.expected, positions))
    except RangeProblem as error:
        problems.append(positions.problem("number-range", error.message, error.span))
    return None


def _shown(token: Token) -> str:
    if token.type in {"STRING", "BYTES", "INT", "UINT", "FLOAT"}:
        return {"STRING": "a string", "BYTES": "bytes"}.get(token.type, "a number")
    return f"`{token.value}`"


_HINTS: Final = {
    "and": "logical and is `&&`",
    "or": "logical or is `||`",
    "not": "logical not is `!`",
    "AND": "logical and is `&&`",
    "OR": "logical or is `||`",
    "NOT": "logical not is `!`",
    "is": "equality is `==`",
    "between": "write `a <= x && x < b`",
}


def _ending_hint(expected: set[str]) -> str | None:
    for closing, sign in (("RPAR", ")"), ("RSQB", "]"), ("RBRACE", "}")):
        if closing in expected:
            return f"`{sign}` is missing"
    if "TO" in expected and "ANDAND" in expected:
        return "`to` and the path are missing"
    if "NAME" in expected:
        return "an expression is missing"
    return "`=` is missing" if "ASSIGN" in expected else None


def _unexpected(token: Token, expected: set[str], positions: Positions) -> Problem:
    span = (token.start, token.end)
    hint = None
    if token.type == "NAME":
        hint = _HINTS.get(token.value)
    elif token.type == "ASSIGN":
        hint = "equality is `==`"
    elif token.type == "BAR":
        hint = "logical or is `||`"
    elif token.type == "PARAMETER" and "NAME" in expected:
        hint = "a parameter stands where a literal may"
    if hint is None:
        hint = _ending_hint(expected - {"NAME"}) if "NAME" not in expected else "an expression is expected here"
    return positions.problem("syntax", f"unexpected {_shown(token)}", span, hint)


def _arrange(  # noqa: PLR0915 - one case for each statement
    statements: list[Statement], positions: Positions, problems: list[Problem]
) -> Rule | None:
    """Sort statements by kind, telling what is out of order or there twice."""
    on: On | None = None
    when: When | None = None
    table: Table | None = None
    lets: list[Let] = []
    branches: dict[str, list[Statement]] = {}
    current: list[Statement] | None = None

    def misplaced(statement: Statement, message: str, hint: str | None = None) -> None:
        problems.append(positions.problem("statement-order", message, statement.span, hint))

    for statement in statements:
        match statement:
            case Table():
                if table is not None:
                    misplaced(statement, "a rule has one table")
                elif when is not None or branches:
                    misplaced(statement, "a table stands in place of `when` and `then`")
                table = table or statement
            case _ if table is not None and not isinstance(statement, On):
                misplaced(statement, "nothing comes after a table", "a table stands in place of `when` and `then`")
                break
            case On():
                if on is not None:
                    misplaced(statement, "a rule has one `on`", "separate fact types with commas")
                elif lets or when or branches or table:
                    misplaced(statement, "`on` comes first")
                on = on or statement
            case Let():
                if when or branches:
                    misplaced(statement, "a `let` comes before `when`, `then` and `else`")
                lets.append(statement)
            case When():
                if when is not None:
                    misplaced(statement, "a rule has one `when`", "join the conditions with `&&`")
                elif branches:
                    misplaced(statement, "`when` comes before `then` and `else`")
                when = when or statement
            case Branch(name=name):
                if name in branches:
                    misplaced(statement, f"a rule has one `{name}`")
                elif name == "then" and "else" in branches:
                    misplaced(statement, "`then` comes before `else`")
                elif name == "else" and when is None:
                    misplaced(statement, "`else` without a `when`")
                current = branches.setdefault(name, [])
            case _:
                if current is None:
                    misplaced(statement, "an action needs a `then` or `else` before it")
                else:
                    current.append(statement)
    then = branches.get("then")
    otherwise = branches.get("else")
    for name, actions in branches.items():
        if not actions and not problems:
            place = next(s for s in statements if isinstance(s, Branch) and s.name == name)
            misplaced(place, f"`{name}` has no action")
    if when is None and then is None and table is None and not problems:
        last = statements[-1]
        problems.append(
            positions.problem("statement-order", "the rule has no `when`, no `then` and no table", last.span)
        )
    return Rule(
        on,
        tuple(lets),
        when,
        None if then is None else tuple(then),
        None if otherwise is None else tuple(otherwise),
        table,
    )


def is_int_literal_in_range(value: int) -> bool:
    """Return whether an int literal fits 64 bits; the parser lets any through, as a minus may stand before it."""
    return -INT_MAX - 1 <= value <= INT_MAX


def reserved_hint(word: str) -> str | None:
    """Return how to write a field whose name CEL reserves."""
    return f"a field of this name is written `payload.{word}`" if word in RESERVED else None
