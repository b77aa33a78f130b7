"""Templates: rules with parameters, ``${name}``, that stand where a literal may.

A parameter is a typed value. It becomes a literal's text at the places of its tokens, so that no value can be read as
anything but a value, whatever it holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from domain.errors import ValidationError
from domain.language.faults import Fault, NoOverload
from domain.language.library.amounts import to_decimal
from domain.language.limits import PARAMETER_LIST_ITEMS_MAX, PARAMETER_NAME_LENGTH_MAX, PROBLEMS_MAX
from domain.language.planning import plan_rule
from domain.language.problems import Problem
from domain.language.rule import check_rule
from domain.language.tokens import Positions, Token, scan
from domain.language.types import BOOL, DECIMAL, DOUBLE, INT, STRING, TIMESTAMP, Type, list_of
from domain.language.values import INT_MAX, INT_MIN, decimal_to_text, parse_timestamp, timestamp_to_text

_SCALARS: Final = {
    "bool": BOOL, "int": INT, "double": DOUBLE, "string": STRING, "decimal": DECIMAL, "timestamp": TIMESTAMP,
}  # fmt: skip
PARAMETER_TYPES: Final = (*_SCALARS, *(f"list<{name}>" for name in _SCALARS))
_PARAMETER: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_WHOLE_MAX: Final = 1e15  # people read a whole number of so many digits without an exponent, and without `.0`
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class ParameterError(ValidationError):
    """A parameter's value that is missing, unknown, or not of its type; ``parameter`` is its name."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"parameter `{parameter}`: {message}", parameter=parameter)
        self.parameter = parameter


def is_parameter_name(text: str) -> bool:
    """Say whether text may name a parameter: an identifier of at most 64 characters."""
    return len(text) <= PARAMETER_NAME_LENGTH_MAX and _NAME.match(text) is not None


def parameter_type(name: str) -> Type:
    """Return the static type of a parameter's type name; ValueError for a name that is none."""
    inner = name[5:-1] if name.startswith("list<") and name.endswith(">") else name
    if inner not in _SCALARS:
        raise ValueError(f"no parameter type `{name}`; there are {', '.join(PARAMETER_TYPES)}")
    return _SCALARS[inner] if inner == name else list_of(_SCALARS[inner])


def check_template(source: str, parameters: Mapping[str, str]) -> list[Problem]:
    """Return every problem of a template whose parameters are declared by name and type; raises nothing for a text."""
    types = {name: parameter_type(kind) for name, kind in parameters.items()}
    plan, problems = plan_rule(source, types)
    positions = Positions(source)
    used: set[str] = set()
    for token in scan(source, positions, []):
        if token.type == "PARAMETER":
            used.add(token.value)
            if token.value not in types:
                problems.append(_unknown(token, list(types), positions))
        elif token.type == "STRING":
            quoted = _PARAMETER.search(token.value)
            if quoted is not None:
                hint = f"drop the quotes: `{quoted.group()}`"
                message = "a parameter in quotes is text"
                problems.append(positions.problem("quoted-parameter", message, (token.start, token.end), hint))
    for name in types:
        if plan is not None and name not in used:
            message = f"the parameter `{name}` is not used"
            problems.append(Problem("unused-parameter", message, 1, 1, severity="warning"))
    problems.sort(key=lambda problem: (problem.line, problem.column))
    return problems[:PROBLEMS_MAX]


def _unknown(token: Token, names: list[str], positions: Positions) -> Problem:
    close = difflib.get_close_matches(token.value, names, 1)
    hint = f"did you mean `${{{close[0]}}}`?" if close else None
    span = (token.start, token.end)
    return positions.problem("unknown-parameter", f"no parameter `{token.value}` is declared", span, hint)


def fill_template(source: str, parameters: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Return the rule that a template becomes with these values, given as JSON data; raises ParameterError.

    An int may stand for a double or a decimal; a decimal is a string or a number, a timestamp RFC 3339 text.
    """
    for name in values:
        if name not in parameters:
            raise ParameterError(name, "the template has no such parameter")
    literals: dict[str, str] = {}
    for name, kind in parameters.items():
        if name not in values:
            raise ParameterError(name, "a value is missing")
        literals[name] = literal_text(name, kind, values[name])
    return _filled(source, literals)[0]


def check_filled(source: str, literals: Mapping[str, str]) -> tuple[str, list[Problem]]:
    """Return the rule that a template becomes with literals (``literal_text``), and every problem of it.

    The problems stand where they are in the template: one in a value, at its parameter. Raises ParameterError for a
    parameter without a literal.
    """
    text, moves = _filled(source, literals)
    problems = check_rule(text)
    if not problems:
        return text, []
    filled, template = Positions(text), Positions(source)
    return text, [_moved(problem, moves, filled, template) for problem in problems]


# Where a parameter stands: its token in the template (start, end), its literal in the filled text (start, end).
_Move = tuple[int, int, int, int]


def _filled(source: str, literals: Mapping[str, str]) -> tuple[str, list[_Move]]:
    parts: list[str] = []
    moves: list[_Move] = []
    offset = length = 0
    for token in scan(source, Positions(source), []):
        if token.type == "PARAMETER":
            if token.value not in literals:
                raise ParameterError(token.value, "the template does not declare it")
            literal = literals[token.value]
            parts += (source[offset : token.start], literal)
            start = length + token.start - offset
            length = start + len(literal)
            moves.append((token.start, token.end, start, length))
            offset = token.end
    return "".join([*parts, source[offset:]]), moves


def _moved(problem: Problem, moves: list[_Move], filled: Positions, template: Positions) -> Problem:
    """Take a problem of the filled text to its place in the template; a literal holds no line break, so lines stay."""
    if problem.line > len(filled.starts):
        return problem
    line_start = filled.starts[problem.line - 1]
    start = _source_offset(line_start + problem.column - 1, moves, is_end=False)
    line, column = template.at(start)
    if problem.end_column is None:
        return replace(problem, line=line, column=column)
    end = _source_offset(line_start + problem.end_column - 1, moves, is_end=True)
    end_line, end_column = template.at(end)
    is_shown = end_line == line and end_column > column
    return replace(problem, line=line, column=column, end_column=end_column if is_shown else None)


def _source_offset(offset: int, moves: list[_Move], *, is_end: bool) -> int:
    """Return where an offset of the filled text is in the template; one in a literal is its token's start or end."""
    shift = 0
    for source_start, source_end, start, end in moves:
        if offset < start or (is_end and offset == start):
            break
        if offset < end or (is_end and offset == end):
            return source_end if is_end else source_start
        shift = source_end - end
    return offset + shift


def literal_text(name: str, kind: str, value: Any) -> str:
    """Return a value as the text of a literal of its type; raises ParameterError when it is not of that type."""
    if kind.startswith("list<"):
        if not isinstance(value, list) or len(value) > PARAMETER_LIST_ITEMS_MAX:
            raise ParameterError(name, f"a list of at most {PARAMETER_LIST_ITEMS_MAX} values is expected")
        return f"[{', '.join(literal_text(name, kind[5:-1], item) for item in value)}]"
    text = _scalar_text(kind, value)
    if text is None:
        raise ParameterError(name, f"a value of type {kind} is expected")
    return text


def value_text(kind: str, value: Any) -> str:
    """Return a value that ``literal_text`` takes as people read it: text without quotes, a list with commas."""
    if kind.startswith("list<"):
        return ", ".join(value_text(kind[5:-1], item) for item in value)
    match kind:
        case "bool":
            return "true" if value else "false"
        case "double":
            number = float(value)
            return str(int(number)) if number.is_integer() and abs(number) < _WHOLE_MAX else repr(number)
        case "decimal":
            return decimal_to_text(to_decimal(value))
        case "timestamp":
            return timestamp_to_text(parse_timestamp(value))
    return str(value)


def _scalar_text(kind: str, value: Any) -> str | None:
    match kind:
        case "bool" if isinstance(value, bool):
            return "true" if value else "false"
        case "int" if type(value) is int and INT_MIN <= value <= INT_MAX:
            return str(value)
        case "double" if type(value) is float or (type(value) is int and abs(value) <= 2**53):
            number = float(value)
            return repr(number) if number - number == 0 else None
        case "string" if isinstance(value, str) and not any(0xD800 <= ord(sign) <= 0xDFFF for sign in value):
            return f'"{"".join(_escaped(sign) for sign in value)}"'
        case "decimal" if type(value) in {str, int, float, Decimal}:
            try:
                return f'decimal("{decimal_to_text(to_decimal(value))}")'
            except (Fault, NoOverload):
                return None
        case "timestamp" if isinstance(value, str):
            try:
                return f'timestamp("{timestamp_to_text(parse_timestamp(value))}")'
            except ValueError:
                return None
    return None


def _escaped(sign: str) -> str:
    if sign in _ESCAPES:
        return _ESCAPES[sign]
    return sign if sign.isprintable() else f"\\U{ord(sign):08x}"
