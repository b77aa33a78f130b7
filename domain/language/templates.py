"""Templates: rules with parameters, ``${name}``, that stand where a literal may.

A parameter is a typed value. It becomes a literal's text at the places of its tokens, so that no value can be read as
anything but a value, whatever it holds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from domain.errors import ValidationError
from domain.language.faults import Fault, NoOverload
from domain.language.library.amounts import to_decimal
from domain.language.limits import PARAMETER_LIST_ITEMS_MAX
from domain.language.planning import plan_rule
from domain.language.problems import Problem
from domain.language.tokens import Positions, Token, scan
from domain.language.types import BOOL, DECIMAL, DOUBLE, INT, STRING, TIMESTAMP, Type, list_of
from domain.language.values import INT_MAX, INT_MIN, decimal_to_text, parse_timestamp, timestamp_to_text

_SCALARS: Final = {
    "bool": BOOL, "int": INT, "double": DOUBLE, "string": STRING, "decimal": DECIMAL, "timestamp": TIMESTAMP,
}  # fmt: skip
PARAMETER_TYPES: Final = (*_SCALARS, *(f"list<{name}>" for name in _SCALARS))
_PARAMETER: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class ParameterError(ValidationError):
    """A parameter's value that is missing, unknown, or not of its type; ``parameter`` is its name."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"parameter `{parameter}`: {message}", parameter=parameter)
        self.parameter = parameter


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
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


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
    texts: dict[str, str] = {}
    for name, kind in parameters.items():
        if name not in values:
            raise ParameterError(name, "a value is missing")
        texts[name] = literal_text(name, kind, values[name])
    parts: list[str] = []
    offset = 0
    for token in scan(source, Positions(source), []):
        if token.type == "PARAMETER":
            if token.value not in texts:
                raise ParameterError(token.value, "the template does not declare it")
            parts += (source[offset : token.start], texts[token.value])
            offset = token.end
    return "".join([*parts, source[offset:]])


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
