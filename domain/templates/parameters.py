"""A template's parameters: their declarations, and the values that a row gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from domain.language import PARAMETER_TYPES, ParameterError, is_parameter_name, literal_text, value_text
from domain.language.limits import PARAMETER_NAME_LENGTH_MAX
from domain.rules.content import DESCRIPTION_LENGTH_MAX, NAME_LENGTH_MAX, FieldProblem, is_storable

PARAMETERS_MAX: Final = 100  # of a template
# Of one row's values together, as JSON: they are kept with the rule and told in its event.
VALUES_BYTES_MAX: Final = 64 * 1024
# Of a rule's name before values are put into it.
NAME_PATTERN_LENGTH_MAX: Final = 1_000
_IN_TEXT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter; ``default`` is JSON data of its type, None where a value must be given."""

    name: str
    type: str
    default: Any = None
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the declaration as JSON data; what is absent is left out."""
        data: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.default is not None:
            data["default"] = self.default
        if self.description:
            data["description"] = self.description
        return data


@dataclass(frozen=True, slots=True)
class Values:
    """One row's values: with the defaults for what was not given, and as literals of the language.

    Both lack what ``problems`` tell of.
    """

    values: Mapping[str, Any]
    literals: Mapping[str, str]
    problems: Sequence[FieldProblem]


def declaration_problems(parameters: Sequence[Parameter]) -> Iterator[FieldProblem]:
    """Yield what is wrong with declared parameters: number, names, types, defaults and descriptions."""
    if len(parameters) > PARAMETERS_MAX:
        yield FieldProblem(
            "too-many-parameters", "parameters", f"a template cannot have more than {PARAMETERS_MAX} parameters"
        )
        return
    seen: set[str] = set()
    for index, one in enumerate(parameters):
        field = f"parameters[{index}]"
        if not is_parameter_name(one.name):
            message = f"a parameter's name is an identifier of at most {PARAMETER_NAME_LENGTH_MAX} characters"
            yield FieldProblem("parameter-name", f"{field}.name", message)
        elif one.name in seen:
            yield FieldProblem("duplicate-parameter", f"{field}.name", f"two parameters are named `{one.name}`")
        seen.add(one.name)
        if one.type not in PARAMETER_TYPES:
            message = f"a parameter's type is one of {', '.join(PARAMETER_TYPES)}"
            yield FieldProblem("parameter-type", f"{field}.type", message)
        elif one.default is not None:
            yield from _default_problems(one, field)
        if len(one.description) > DESCRIPTION_LENGTH_MAX:
            message = f"a parameter's description cannot exceed {DESCRIPTION_LENGTH_MAX} characters"
            yield FieldProblem("description-too-long", f"{field}.description", message)
        elif not is_storable(one.description):
            message = "a parameter's description cannot hold NUL or lone surrogates"
            yield FieldProblem("description-not-text", f"{field}.description", message)
    if _json_bytes([one.default for one in parameters]) > VALUES_BYTES_MAX:
        yield FieldProblem("defaults-too-large", "parameters", f"defaults are at most {VALUES_BYTES_MAX} bytes of JSON")


def _default_problems(parameter: Parameter, field: str) -> Iterator[FieldProblem]:
    try:
        literal_text(parameter.name, parameter.type, parameter.default)
    except ParameterError as error:
        yield FieldProblem("default-type", f"{field}.default", f"the default of {error.message}")


def default_literals(parameters: Iterable[Parameter]) -> Mapping[str, str]:
    """Return the literals of the defaults that there are; the parameters must have been found to be well."""
    return {one.name: literal_text(one.name, one.type, one.default) for one in parameters if one.default is not None}


def bind_values(parameters: Iterable[Parameter], given: Mapping[str, Any], defaults: Mapping[str, str]) -> Values:
    """Take a row's values, and defaults for what it leaves out, telling everything that is wrong with them.

    A value of ``null`` is none, and takes the default. ``defaults`` are ``default_literals`` of the same parameters,
    made once for any number of rows.
    """
    problems: list[FieldProblem] = []
    values: dict[str, Any] = {}
    literals: dict[str, str] = {}
    declared = {one.name: one for one in parameters}
    if _json_bytes(given) > VALUES_BYTES_MAX:
        message = f"the values of one row are at most {VALUES_BYTES_MAX} bytes of JSON"
        return Values({}, {}, [FieldProblem("values-too-large", "parameters", message)])
    for name in given:
        if name not in declared:
            error = ParameterError(name[:PARAMETER_NAME_LENGTH_MAX], "the template has no such parameter")
            problems.append(_value_problem("unknown-parameter", error))
    for name, one in declared.items():
        value = given.get(name)
        if value is None and one.default is None:
            problems.append(_value_problem("missing-parameter", ParameterError(name, "a value is missing")))
            continue
        try:
            literals[name] = defaults[name] if value is None else literal_text(name, one.type, value)
        except ParameterError as found:
            problems.append(_value_problem("parameter-type", found))
        else:
            values[name] = one.default if value is None else value
    return Values(values, literals, problems)


def name_pattern_problems(text: str, parameters: Iterable[Parameter]) -> list[FieldProblem]:
    """Return the problems of a rule's name that is too long, or uses parameters which are not declared."""
    if len(text) > NAME_PATTERN_LENGTH_MAX:
        message = f"rule name with parameters cannot exceed {NAME_PATTERN_LENGTH_MAX} characters"
        return [FieldProblem("name-too-long", "name", message)]
    declared = {one.name for one in parameters}
    unknown = [name for name in dict.fromkeys(_IN_TEXT.findall(text)) if name not in declared]
    return [
        FieldProblem(
            "unknown-parameter", "name", f"no parameter `{name[:PARAMETER_NAME_LENGTH_MAX]}` is declared for the name"
        )
        for name in unknown[:PARAMETERS_MAX]
    ]


def fill_text(text: str, parameters: Iterable[Parameter], values: Mapping[str, Any]) -> str:
    """Put values into a rule's name, each as people read it; what stands in a value is not read again.

    Of a value that is longer than a name may be, so much is taken that the name is too long.
    """
    used = set(_IN_TEXT.findall(text))
    texts = {
        one.name: value_text(one.type, values[one.name])[: NAME_LENGTH_MAX + 1]
        for one in parameters
        if one.name in used
    }
    return _IN_TEXT.sub(lambda found: texts[found[1]], text)


def _value_problem(code: str, error: ParameterError) -> FieldProblem:
    return FieldProblem(code, f"parameters.{error.parameter}", error.message)


def _json_bytes(data: Any) -> int:
    return len(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))
