"""Template files, and the rows of values that rules are made of.

A template file ``NAME.template`` is the template's DSL, under optional TOML between ``+++`` lines with ``name``
(default: the file's stem), ``description`` and ``[[parameters]]``. Rows are newline-delimited JSON objects, or CSV
whose head names the parameters.
"""

from __future__ import annotations

import csv
import difflib
import io
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.errors import ValidationError
from domain.language import Problem, check_template
from domain.templates.parameters import Parameter
from domain.templates.template import TemplateContent
from streams.codec import REQUEST_BYTES_MAX
from worker.files.front_matter import FENCE, plain_text, split_rule_text
from worker.files.lines import line_batches, shown_name
from worker.files.origins import RuleFile
from worker.files.problems import FileProblem, InvalidRulesError

CSV_SUFFIX: Final = ".csv"

_FIELDS: Final = ("name", "description", "parameters")
_PARAMETER_FIELDS: Final = ("name", "type", "default", "description")
_PLAIN_TYPES: Final = frozenset({"string", "timestamp", "decimal"})


def read_template(path: Path) -> dict[str, Any]:
    """Read a template file as a command's payload; raises InvalidRulesError with every problem, at its place.

    ``name`` is in it only where the front matter says it.
    """
    text = _text(path)
    parts = split_rule_text(text)
    if parts is None:
        raise InvalidRulesError(
            [RuleFile(str(path), text, 0).at("front-matter-open", 1, 1, f"there is no closing {FENCE} line")]
        )
    origin = RuleFile(str(path), text, parts.dsl_line_offset)
    try:
        fields = tomllib.loads(parts.toml)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRulesError([origin.at("not-toml", 1, 1, str(error))]) from None
    problems = list(_unknown(fields, _FIELDS, origin))
    parameters = _parameters(fields.get("parameters", []), origin, problems)
    problems += [
        origin.field_problem("wrong-type", field, f"{field} must be a string")
        for field in ("name", "description")
        if not isinstance(fields.get(field, ""), str)
    ]
    if not problems:
        problems = _content_problems({"name": path.stem, **fields}, parameters, parts.dsl, origin)
    if any(problem.is_error for problem in problems):
        raise InvalidRulesError(problems)
    named: dict[str, Any] = {field: fields[field] for field in ("name", "description") if field in fields}
    return {**named, "dslTemplate": parts.dsl, "parameters": [one.to_json() for one in parameters]}


def read_rows(path: Path, types: Mapping[str, str]) -> list[dict[str, Any]]:
    """Read rows of values, from a ``.csv`` file or from lines of JSON; ``-`` is standard input.

    Cells of CSV are read as ``value_of`` reads them; an empty one is no value, so that the default stands. Raises
    InvalidRulesError with every problem, or UnreadableError.
    """
    problems: list[FileProblem] = []
    rows = _csv_rows(path, types, problems) if path.suffix == CSV_SUFFIX else _json_rows(path, problems)
    if not rows and not problems:
        problems.append(_at(shown_name(path), 1, "no-rows", "there is no row"))
    if problems:
        raise InvalidRulesError(problems)
    return rows


def value_of(kind: str | None, text: str) -> Any:
    """Read a parameter's value as people write it: text as it is for a string, a time or a decimal, JSON for others.

    A parameter that the template has not (None) is read as text, to be refused by name. Raises ValueError.
    """
    if kind is None or kind in _PLAIN_TYPES:
        return text
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        example = '["a", "b"]' if kind.startswith("list<") else "true" if kind == "bool" else "15"
        raise ValueError(f"a value of type {kind} is written as JSON, such as {example}") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(REQUEST_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidRulesError([_at(str(path), 1, "unreadable", f"cannot be read: {error.strerror}")]) from None
    if len(data) > REQUEST_BYTES_MAX:
        raise InvalidRulesError([_at(str(path), 1, "too-large", f"a template is at most {REQUEST_BYTES_MAX} bytes")])
    try:
        return plain_text(data.decode())
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidRulesError([_at(str(path), line, "not-utf8", "the text is not UTF-8")]) from None


def _parameters(found: Any, origin: RuleFile, problems: list[FileProblem]) -> list[Parameter]:
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problems.append(origin.field_problem("wrong-type", "parameters", "parameters are written as [[parameters]]"))
        return []
    parameters: list[Parameter] = []
    for number, one in enumerate(found, start=1):
        problems += _unknown(one, _PARAMETER_FIELDS, origin)
        texts = {field: one.get(field, "") for field in ("name", "type", "description")}
        wrong = [field for field, value in texts.items() if not isinstance(value, str)]
        wrong += [field for field in ("name", "type") if field not in one]
        problems += [
            origin.field_problem("wrong-type", None, f"parameter {number}: {field} must be a string") for field in wrong
        ]
        if not wrong:
            default = _json_value(one.get("default"))
            parameters.append(Parameter(texts["name"], texts["type"], default, texts["description"]))
    return parameters


def _json_value(value: Any) -> Any:
    """Return TOML's value as JSON has it: a time is its text."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    return [_json_value(item) for item in value] if isinstance(value, list) else value


def _unknown(fields: Mapping[str, Any], known: Iterable[str], origin: RuleFile) -> Iterable[FileProblem]:
    for field in fields:
        if field not in known:
            near = difflib.get_close_matches(field, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"there is {', '.join(known)}"
            yield origin.field_problem("unknown-field", field, f"unknown field `{field}`", hint)


def _content_problems(
    fields: Mapping[str, Any], parameters: list[Parameter], dsl: str, origin: RuleFile
) -> list[FileProblem]:
    try:
        content = TemplateContent.checked(
            name=fields["name"], dsl_template=dsl, parameters=parameters, description=fields.get("description")
        )
    except ValidationError as error:
        return [
            origin.field_problem(found["code"], found["field"], found["message"], found["hint"] or "")
            for found in error.details["problems"]
        ]
    return [origin.dsl_problem(problem) for problem in check_template(dsl, content.types)]


def _csv_rows(path: Path, types: Mapping[str, str], problems: list[FileProblem]) -> list[dict[str, Any]]:
    name = shown_name(path)
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    try:
        head = next(reader, [])
        if len(set(head)) < len(head):
            twice = next(one for number, one in enumerate(head) if one in head[:number])
            problems.append(_at(name, 1, "duplicate-column", f"the column `{twice}` is there twice"))
            return []
        for cells in reader:
            line = reader.line_num
            if not cells:
                continue
            if len(cells) != len(head):
                problems.append(_at(name, line, "wrong-length", f"{len(cells)} cells under a head of {len(head)}"))
                continue
            row: dict[str, Any] = {}
            for parameter, cell in zip(head, cells, strict=True):
                try:
                    row |= {parameter: value_of(types.get(parameter), cell)} if cell else {}
                except ValueError as error:
                    problems.append(_at(name, line, "not-a-value", f"parameter `{parameter}`: {error}"))
            rows.append(row)
    except csv.Error as error:
        problems.append(_at(name, reader.line_num, "not-csv", str(error)))
    return rows


def _json_rows(path: Path, problems: list[FileProblem]) -> list[dict[str, Any]]:
    name = shown_name(path)
    rows: list[dict[str, Any]] = []
    for batch in line_batches(path, REQUEST_BYTES_MAX):
        for number, line in batch:
            if line is None:
                problems.append(_at(name, number, "too-large", f"a row is at most {REQUEST_BYTES_MAX} bytes"))
            elif line.strip():
                try:
                    rows.append(msgspec.json.decode(line, type=dict[str, Any]))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    problems.append(_at(name, number, "not-an-object", "a row is a JSON object on one line"))
    return rows


def _at(file: str, line: int, code: str, message: str) -> FileProblem:
    return FileProblem(file, line, 1, Problem(code, message, line, 1))
