"""Decision tables: from rows of text to tests and outputs, cell by cell, so that each wrong row is told by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain.language.limits import TABLE_COLUMNS_MAX, TABLE_ROWS_MAX
from domain.language.problems import Problem
from domain.language.tokens import Positions, Token
from domain.language.tree import Cell, Column, Row, Span, Table

HITS: Final = ("first", "unique", "collect")
_OUTPUTS: Final = {"SET": "head_path", "ADD": "head_path", "APPEND": "head_path", "EMIT": "head_emit"}
Parse = Callable[[str, list[Token], int, Positions, list[Problem]], Any]


def parse_table(chunk: list[Token], positions: Positions, problems: list[Problem], parse: Parse) -> Table | None:
    """Parse ``table HIT`` and its lines; None when the head is wrong or no row is right."""
    lines = _lines(chunk)
    word = lines[0][0]
    before = len(problems)
    hit = _hit(lines[0], positions, problems)
    if len(lines) < 2 and hit is None:
        return None
    if len(lines) < 2:
        span = (word.start, word.end)
        problems.append(positions.problem("table", "the table has no columns", span, "a row is `| cell | cell |`"))
        return None
    if len(lines) > TABLE_ROWS_MAX + 2:
        over = lines[TABLE_ROWS_MAX + 2][0]
        message = f"a table has at most {TABLE_ROWS_MAX} rows"
        problems.append(positions.problem("too-long", message, (over.start, over.end)))
        return None
    columns = _columns(lines[1], positions, problems, parse)
    if hit is None or columns is None:
        return None
    rows: list[Row] = []
    for line in lines[2:]:
        row = _row(line, columns, positions, problems, parse)
        if row is not None:
            rows.append(row)
    if not lines[2:]:
        problems.append(positions.problem("table", "the table has no rows", (word.start, word.end)))
    if len(problems) > before and not rows:
        return None
    return Table((word.start, word.end), hit.value, (hit.start, hit.end), tuple(columns), tuple(rows))


def _lines(chunk: list[Token]) -> list[list[Token]]:
    lines: list[list[Token]] = [[]]
    for token in chunk:
        if token.type == "EOL":
            lines.append([])
        else:
            lines[-1].append(token)
    return [line for line in lines if line]


def _hit(line: list[Token], positions: Positions, problems: list[Problem]) -> Token | None:
    hint = "`first`, `unique` or `collect`"
    if len(line) < 2:
        problems.append(positions.problem("table", "the hit policy is missing", (line[0].end, line[0].end), hint))
        return None
    word = line[1]
    if word.type != "NAME" or word.value not in HITS:
        message = f"`{word.value}` is no hit policy"
        problems.append(positions.problem("table", message, (word.start, word.end), hint))
        return None
    if len(line) > 2:
        extra = line[2]
        message = f"unexpected `{extra.value}` after the hit policy"
        problems.append(positions.problem("table", message, (extra.start, extra.end), "rows begin on the next line"))
        return None
    return word


def _cells(line: list[Token], positions: Positions, problems: list[Problem]) -> list[tuple[list[Token], Span]] | None:
    """Split a line at its bars; None when it does not begin and end with one or a cell is empty."""
    first, last = line[0], line[-1]
    if first.type != "BAR":
        message = f"unexpected `{first.value}` after the table's rows"
        problems.append(positions.problem("table", message, (first.start, first.end), "a row begins with `|`"))
        return None
    if last.type != "BAR" or len(line) < 2:
        problems.append(positions.problem("table", "the row is not closed", (last.end, last.end), "end it with `|`"))
        return None
    cells: list[tuple[list[Token], Span]] = []
    current: list[Token] = []
    depth = 0
    start = first.end
    for token in line[1:]:
        if token.type in {"LPAR", "LSQB", "LBRACE"}:
            depth += 1
        elif token.type in {"RPAR", "RSQB", "RBRACE"}:
            depth -= 1
        if token.type != "BAR" or depth > 0:
            current.append(token)
            continue
        if not current:
            hint = "`-` stands for anything, or for no output; `||` in a cell needs parentheses"
            problems.append(positions.problem("table", "the cell is empty", (start, token.end), hint))
            return None
        cells.append((current, (current[0].start, current[-1].end)))
        current, start = [], token.end
    if current:
        problems.append(positions.problem("table", "the row is not closed", (last.end, last.end), "a bracket is open"))
        return None
    return cells


def _columns(line: list[Token], positions: Positions, problems: list[Problem], parse: Parse) -> list[Column] | None:
    cells = _cells(line, positions, problems)
    if cells is None:
        return None
    if len(cells) > TABLE_COLUMNS_MAX:
        message = f"a table has at most {TABLE_COLUMNS_MAX} columns"
        problems.append(positions.problem("too-long", message, cells[TABLE_COLUMNS_MAX][1]))
        return None
    columns: list[Column] = []
    for tokens, span in cells:
        start = _OUTPUTS.get(tokens[0].type)
        if start is not None:
            head = parse(start, tokens, span[1], positions, problems)
            if head is None:
                return None
            columns.append(Column(head[2], head[0], None, head[1]))
            continue
        if columns and columns[-1].kind != "if":
            problems.append(positions.problem("table", "conditions come before outputs", span))
            return None
        expression = parse("expression", tokens, span[1], positions, problems)
        if expression is None:
            return None
        columns.append(Column(span, "if", expression, ()))
    if columns[-1].kind == "if":
        hint = "a column such as `set discount.percent`"
        problems.append(positions.problem("table", "the table has no output column", columns[-1].span, hint))
        return None
    return columns


def _row(
    line: list[Token], columns: list[Column], positions: Positions, problems: list[Problem], parse: Parse
) -> Row | None:
    cells = _cells(line, positions, problems)
    if cells is None:
        return None
    span = (line[0].start, line[-1].end)
    if len(cells) != len(columns):
        message = f"the row has {len(cells)} cells, the table {len(columns)} columns"
        problems.append(positions.problem("table", message, span))
        return None
    made: list[Cell] = []
    for (tokens, place), column in zip(cells, columns, strict=True):
        if len(tokens) == 1 and tokens[0].type == "MINUS":
            made.append(Cell(place, (), None))
            continue
        parsed = parse("cell" if column.kind == "if" else "expression", tokens, place[1], positions, problems)
        if parsed is None:
            return None
        made.append(Cell(place, parsed, None) if column.kind == "if" else Cell(place, (), parsed))
    return Row(span, tuple(made))
