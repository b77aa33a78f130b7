"""RULES: a folder of rule files, one rule file, or newline-delimited JSON (contract section 8).

A rule file ``NAME.rule`` is DSL, under optional TOML between ``+++`` lines. Every problem over the whole set is found
before anything is refused: in the fields, in the DSL, and between rules that cannot stand together.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.decisions.order import require_no_conflict, touches
from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, bind
from domain.errors import BusinessError, ValidationError
from domain.identifiers import RuleId
from domain.language import (
    TRIED_LINTED_FROM,
    CompiledRule,
    InvalidRuleError,
    Problem,
    is_wide,
    tried_lint,
)
from domain.language import Path as OutputPath
from domain.rules.content import Priority, RuleContent
from streams.codec import REQUEST_BYTES_MAX
from worker.files.compiling import RuleCompiler, texts_of_files, texts_of_lines
from worker.files.front_matter import FENCE, TIME_FIELDS, json_fields, plain_text, split_rule_text
from worker.files.lines import UnreadableError, line_batches
from worker.files.origins import JsonLine, Origin, RuleFile
from worker.files.problems import FileProblem, InvalidRulesError

RULE_SUFFIX: Final = ".rule"
# A rule that is larger could not be sent as a command either.
RULE_BYTES_MAX: Final = REQUEST_BYTES_MAX

_TEXT_FIELDS: Final = ("name", "description", "priority", "ruleId")
_FRONT_MATTER_FIELDS: Final = (*_TEXT_FIELDS, *TIME_FIELDS, "tags")
_LINE_FIELDS: Final = (*_FRONT_MATTER_FIELDS, "dslContent")
_TOML_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_JSON_PLACE: Final = re.compile(r" \(byte (\d+)\)\Z")


@dataclass(frozen=True, slots=True)
class RuleSource:
    """One rule as a file gives it, checked and compiled.

    ``origin`` is its file, with the line where a line holds the rule. ``dsl_line_offset`` is how many lines of the file
    come before the DSL's first.
    """

    origin: str
    rule_id: RuleId | None
    content: RuleContent
    compiled: CompiledRule
    dsl_line_offset: int = 0

    @property
    def identity(self) -> RuleId:
        """The id that the file gives the rule, else the one that stands for its name."""
        return self.rule_id or RuleId.for_name(self.content.name)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What was read: the rules that are well, every problem of all of them, and how many rules there were."""

    sources: tuple[RuleSource, ...]
    problems: tuple[FileProblem, ...]
    read: int

    @property
    def has_errors(self) -> bool:
        return any(problem.is_error for problem in self.problems)


def read_rules(path: Path) -> list[RuleSource]:
    """Read a set of rules that can all be active together; raises InvalidRulesError with every problem found."""
    found = inspect_rules(path)
    if found.has_errors:
        raise InvalidRulesError(found.problems)
    return list(found.sources)


def inspect_rules(path: Path, *, warn_of_tried: bool = False) -> RuleSet:
    """Read a set of rules and everything that is wrong with it. Problems are in the order of files and lines.

    ``warn_of_tried`` adds, in large sets, warnings of the rules that no index can leave out.
    """
    reader = _Reader()
    if path.is_dir():
        files = sorted(file for file in path.glob(f"*{RULE_SUFFIX}") if not file.name.startswith("."))
        reader.compiler.compile_ahead(texts_of_files(files, RULE_BYTES_MAX))
        for file in files:
            reader.read_file(file)
        if not files:
            reader.note(FileProblem(str(path), 1, 1, Problem("no-rules", f"no {RULE_SUFFIX} file in the folder", 1, 1)))
    elif path.suffix == RULE_SUFFIX:
        reader.read_file(path)
    else:
        reader.compiler.compile_ahead(texts_of_lines(path, RULE_BYTES_MAX))
        reader.read_lines(path)
    reader.compare()
    if warn_of_tried:
        reader.warn_of_tried()
    return reader.result()


def active_rules(sources: Iterable[RuleSource]) -> list[ActiveRule]:
    """Return the rules as active ones, each at version 1."""
    return [ActiveRule(source.identity, 1, source.content) for source in sources]


def offline_ruleset(sources: Sequence[RuleSource]) -> Ruleset:
    """Return the rules as a ruleset at revision 0, compiling nothing again."""
    return Ruleset(0, _bound(sources))


def _bound(sources: Sequence[RuleSource]) -> list[BoundRule]:
    compiled = {source.content.dsl_content: source.compiled for source in sources}
    return [bind(rule, rule.digest, compiled[rule.content.dsl_content]) for rule in active_rules(sources)]


class _Reader:
    """Collects rules and problems over a whole set."""

    def __init__(self) -> None:
        self.compiler = RuleCompiler()
        self._rules: list[tuple[RuleSource, Origin]] = []
        self._problems: list[FileProblem] = []
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._errors = 0
        self._read = 0

    def result(self) -> RuleSet:
        ordered = sorted(self._problems, key=lambda problem: (problem.file, problem.line, problem.column))
        return RuleSet(tuple(source for source, _ in self._rules), tuple(ordered), self._read)

    def note(self, problem: FileProblem) -> None:
        self._problems.append(problem)
        self._errors += problem.is_error

    def read_file(self, path: Path) -> None:
        """Read one rule file."""
        self._read += 1
        name = str(path)
        errors_before = self._errors
        try:
            with path.open("rb") as stream:
                data = stream.read(RULE_BYTES_MAX + 1)
        except OSError as error:
            self.note(_problem_of_file(name, "unreadable", f"the file cannot be read: {error.strerror}"))
            return
        if len(data) > RULE_BYTES_MAX:
            self.note(_problem_of_file(name, "too-large", f"a rule is at most {RULE_BYTES_MAX} bytes"))
            return
        text = self._decoded(name, 1, data)
        if text is None:
            return
        text = plain_text(text)
        parts = split_rule_text(text)
        if parts is None:
            message = f"the front matter has no closing {FENCE} line"
            self.note(RuleFile(name, text, 0).at("front-matter-open", 1, 1, message))
            return
        origin = RuleFile(name, text, parts.dsl_line_offset)
        try:
            fields = json_fields(parts.toml)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            self.note(_toml_problem(origin, str(error)))
            self._check_dsl(parts.dsl, origin)
            return
        known = self._known(fields, _FRONT_MATTER_FIELDS, origin)
        self._take({"name": path.stem, **known}, parts.dsl, origin, errors_before)

    def read_lines(self, path: Path) -> None:
        """Read newline-delimited JSON, a rule a line."""
        name = str(path)
        is_empty = True
        try:
            for batch in line_batches(path, RULE_BYTES_MAX):
                for number, data in batch:
                    self._read += data is None or bool(data.strip())
                    if data is None:
                        is_empty = False
                        message = f"a rule is at most {RULE_BYTES_MAX} bytes"
                        self.note(_problem_of_file(name, "too-large", message, number))
                    elif data.strip():
                        is_empty = False
                        self._read_line(name, number, data)
        except UnreadableError as error:
            self.note(_problem_of_file(name, "unreadable", f"the file {error.message}"))
            return
        if is_empty:
            self.note(_problem_of_file(name, "no-rules", "no rule in the file"))

    def _read_line(self, name: str, number: int, data: bytes) -> None:
        errors_before = self._errors
        text = self._decoded(name, number, data)
        if text is None:
            return
        origin = JsonLine(name, number, text)
        try:
            fields = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            message = str(error)
            place = _JSON_PLACE.search(message)
            column = 1 if place is None else len(data[: int(place[1])].decode(errors="replace")) + 1
            self.note(origin.at("not-json", column, _JSON_PLACE.sub("", message)))
            return
        if not isinstance(fields, dict):
            self.note(origin.at("not-an-object", 1, "a rule is a JSON object"))
            return
        fields = {key: value for key, value in fields.items() if value is not None}
        known = self._known(fields, _LINE_FIELDS, origin)
        for field in ("name", "dslContent"):
            if field not in fields:
                self.note(origin.field_problem("missing-field", None, f"{field} is required"))
        dsl = known.pop("dslContent", None)
        self._take(known, dsl, replace(origin, dsl=dsl), errors_before)

    def _decoded(self, name: str, number: int, data: bytes) -> str | None:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            before = data[: error.start]
            column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
            line = number + before.count(b"\n")
            self.note(FileProblem(name, line, column, Problem("not-utf8", "the text is not UTF-8", line, column)))
            return None

    def _known(self, fields: Mapping[str, Any], known: Sequence[str], origin: Origin) -> dict[str, Any]:
        """Return the fields that exist and are of the right type, and note the others."""
        kept: dict[str, Any] = {}
        for field, value in fields.items():
            if field not in known:
                near = difflib.get_close_matches(field, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"a rule has {', '.join(known)}"
                self.note(origin.field_problem("unknown-field", field, f"unknown field `{field}`", hint))
            elif field == "tags":
                if isinstance(value, list) and all(isinstance(tag, str) for tag in value):
                    kept[field] = value
                else:
                    self.note(origin.field_problem("wrong-type", field, "tags must be a list of strings"))
            elif isinstance(value, str):
                kept[field] = value
            else:
                self.note(origin.field_problem("wrong-type", field, f"{field} must be a string"))
        return kept

    def _take(self, fields: Mapping[str, Any], dsl: str | None, origin: Origin, errors_before: int) -> None:
        """Check a rule's fields and DSL; keep it when nothing was found since its first byte."""
        content = self._content(fields, dsl, origin)
        compiled = None if dsl is None else self._check_dsl(dsl, origin)
        rule_id = self._own_identity(fields, origin)
        if self._errors == errors_before and content is not None and compiled is not None:
            source = RuleSource(origin.name, rule_id, content, compiled, origin.dsl_line_offset)
            self._rules.append((source, origin))

    def _own_identity(self, fields: Mapping[str, Any], origin: Origin) -> RuleId | None:
        """Read a rule's id, and note a name or an id that an earlier rule has."""
        rule_id: RuleId | None = None
        identity: RuleId | None = None
        name = fields.get("name")
        if name is not None:
            earlier = self._names.setdefault(name, origin.name)
            if earlier == origin.name:
                identity = RuleId.for_name(name)
            else:
                message = f"rule name already exists: `{name}`"
                self.note(origin.field_problem("duplicate-name", "name", message, f"also in {earlier}"))
        if "ruleId" in fields:
            try:
                identity = rule_id = RuleId.parse(fields["ruleId"])
            except ValidationError as error:
                self.note(origin.field_problem("rule-id", "ruleId", error.message))
                return None
        if identity is not None:
            earlier = self._ids.setdefault(identity.value, origin.name)
            if earlier != origin.name:
                message = f"two rules have the ruleId {identity}"
                self.note(origin.field_problem("duplicate-id", "ruleId", message, f"also in {earlier}"))
        return rule_id

    def _content(self, fields: Mapping[str, Any], dsl: str | None, origin: Origin) -> RuleContent | None:
        absent: set[str] = set()
        if dsl is None:
            absent.add("dslContent")
        if "name" not in fields:
            absent.add("name")
        try:
            return RuleContent.checked(
                name=fields.get("name", ""),
                dsl_content=dsl or "",
                priority=fields.get("priority", Priority.MEDIUM.value),
                description=fields.get("description"),
                tags=fields.get("tags"),
                effective_from=fields.get("effectiveFrom"),
                effective_until=fields.get("effectiveUntil"),
            )
        except ValidationError as error:
            for found in error.details["problems"]:
                if found["field"] not in absent:  # noted already
                    self.note(origin.field_problem(found["code"], found["field"], found["message"], found.get("hint")))
            return None

    def _check_dsl(self, dsl: str, origin: Origin) -> CompiledRule | None:
        if not dsl.strip():
            return None
        try:
            compiled = self.compiler.compile(dsl)
        except InvalidRuleError as error:
            for problem in error.problems:
                self.note(origin.dsl_problem(problem))
            return None
        for warning in compiled.warnings:
            self.note(origin.dsl_problem(warning))
        return compiled

    def compare(self) -> None:
        """Note the rules that cannot stand beside those before them, and leave them out."""
        bound = _bound([source for source, _ in self._rules])
        involved = _involved(bound)
        if not involved:
            return
        standing: list[BoundRule] = []
        kept: list[tuple[RuleSource, Origin]] = []
        for (source, origin), rule in zip(self._rules, bound, strict=True):
            if rule.rule_id in involved:
                try:
                    require_no_conflict(rule, standing)
                except BusinessError as error:
                    code, _, message = error.message.partition(": ")
                    self.note(origin.dsl_problem(Problem(code, message, 1, 1)))
                    continue
                standing.append(rule)
            kept.append((source, origin))
        self._rules = kept

    def warn_of_tried(self) -> None:
        """Note the rules that are tried on every fact, where they are many enough for that to matter."""
        if len(self._rules) < TRIED_LINTED_FROM:
            return
        for source, origin in self._rules:
            demand = source.compiled.demand
            if demand is None or is_wide(demand):
                found = tried_lint(source.content.dsl_content)
                if found is not None:
                    self.note(origin.dsl_problem(found))


def _involved(rules: Sequence[BoundRule]) -> set[str]:
    """Return the ids of the rules that a conflict could be between, so that thousands need not be compared in pairs."""
    kinds: dict[OutputPath, set[object]] = {}
    for rule in rules:
        for write in rule.compiled.writes:
            kinds.setdefault(write.path, set()).add(write.kind)
    above = {path[:length] for path in kinds for length in range(1, len(path)) if path[:length] in kinds}
    clashing = above | {path for path, found in kinds.items() if len(found) > 1}
    involved = {
        rule.rule_id
        for rule in rules
        if any(
            write.path[:length] in clashing for write in rule.compiled.writes for length in range(len(write.path) + 1)
        )
    }
    reads = {read for rule in rules for read in rule.compiled.decision_reads}
    if reads:
        linked = [
            rule
            for rule in rules
            if rule.compiled.decision_reads
            or rule.compiled.may_stop
            or any(touches(read, write.path) for write in rule.compiled.writes for read in reads)
        ]
        try:
            require_no_conflict(linked[-1], linked[:-1])
        except BusinessError:
            involved.update(rule.rule_id for rule in linked)
    return involved


def _problem_of_file(file: str, code: str, message: str, line: int = 1) -> FileProblem:
    return FileProblem(file, line, 1, Problem(code, message, line, 1))


def _toml_problem(origin: RuleFile, message: str) -> FileProblem:
    place = _TOML_PLACE.search(message)
    line, column = origin.dsl_line_offset, 1
    if place is not None and place[1] is not None:
        line, column = int(place[1]) + 1, int(place[2])
    return origin.at("not-toml", line, column, _TOML_PLACE.sub("", message))
