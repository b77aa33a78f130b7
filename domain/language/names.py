"""What names stand for while a rule is checked: variables in scope, types, the fact's fields, what others decided."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from domain.language import tree
from domain.language.library.catalogue import TYPE_NAMES
from domain.language.limits import UNMETERED_SEARCHES_MAX
from domain.language.plan import Const, Failure, Part, Select, Variable
from domain.language.problems import Problem
from domain.language.tokens import Positions
from domain.language.types import (
    DECIMAL,
    DYN,
    JSON,
    STRING,
    TIMESTAMP,
    UNKNOWN,
    Type,
    map_of,
    type_named,
)

PAYLOAD: Final = map_of(STRING, JSON)
FACT_FIELDS: Final = {"id": STRING, "type": STRING, "time": TIMESTAMP}
_PROPERTIES: Final = {
    "email": {"local": STRING, "domain": STRING},
    "money": {"amount": DECIMAL, "currency": STRING},
}
RESERVED_ROOTS: Final = frozenset({"payload", "fact", "decision"})


@dataclass(frozen=True, slots=True)
class Binding:
    """What a name in scope stands for."""

    variable: str
    type: Type
    tainted: bool


class NameChecker:
    """Resolves the names of one rule, and tells problems. With ``lenient``, what is wrong fails when it runs."""

    def __init__(
        self,
        positions: Positions,
        problems: list[Problem],
        *,
        lenient: bool = False,
        parameters: Mapping[str, Type] | None = None,
        fact_type: Type = PAYLOAD,
    ) -> None:
        self.positions = positions
        self.problems = problems
        self.lenient = lenient
        self.parameters = parameters
        self.fact_type = fact_type
        self.scope: dict[str, Binding] = {}
        self.decision_reads: dict[tuple[str, ...], None] = {}
        self.depth = 0
        self.loops = 0
        self.rounds: int | None = 1  # of the macros over constants around a part; None: one is over something else
        self.constants: dict[str, Const] = {}  # the lets that are constants, by their variables
        self._reading = False
        self._variables = 0
        self._patterns: set[str] = set()
        self._searches = UNMETERED_SEARCHES_MAX

    def tell(self, code: str, message: str, span: tree.Span, hint: str | None = None) -> None:
        """Add an error."""
        self.problems.append(self.positions.problem(code, message, span, hint))

    def refuse(self, node: tree.Node, code: str, message: str, hint: str | None = None) -> Part:
        """Tell a problem; the part that stands for it can be of any type, so that it causes no further ones."""
        if not self.lenient:
            self.tell(code, message, node.mark, hint)
        return Failure(node.span, node.mark, DYN, True, code, message)

    def constant(self, part: Part) -> Const | None:
        """Return the constant that a part is, by itself or as a `let`."""
        if isinstance(part, Variable):
            return self.constants.get(part.name)
        return part if isinstance(part, Const) else None

    def fresh(self) -> str:
        """Return a new variable for compiled code."""
        self._variables += 1
        return f"v{self._variables}"

    def variable_name(self, node: tree.Node) -> str | None:
        """Return the name that an expression declares as a macro's variable, or None when it can't be one."""
        if not isinstance(node, tree.Name) or node.rooted:
            return None
        if node.name in RESERVED_ROOTS and not self.lenient:
            self.tell("reserved", f"`{node.name}` can't be a variable's name", node.span)
        return node.name

    def lookup(self, node: tree.Name) -> Part | None:
        """Return what a name stands for, but for the fact's own fields."""
        name = node.name
        if not node.rooted:
            binding = self.scope.get(name)
            if binding is not None:
                return Variable(node.span, node.mark, binding.type, binding.tainted, binding.variable)
        if name in TYPE_NAMES:
            return Const(node.span, node.mark, type_named(name), False, TYPE_NAMES[name])
        if name == "payload":
            return self.payload(node)
        if name == "decision":
            self._read(())
            return Variable(node.span, node.mark, DYN, False, "decision")
        if name == "fact":
            return self.refuse(node, "unknown-field", "`fact` has `id`, `type` and `time`", "write `fact.id`")
        return None

    def unbound(self, node: tree.Name) -> Part:
        """Return a field of the fact."""
        payload = self.payload(node)
        type_ = self._field_type(node, payload.type, node.name)
        return Select(node.span, node.mark, type_, True, payload, node.name, False)

    def payload(self, node: tree.Node) -> Part:
        """Return the whole fact."""
        return Variable(node.span, node.mark, self.fact_type, True, "payload")

    def _read(self, path: tuple[str, ...]) -> None:
        if not self._reading:
            self.decision_reads[path] = None

    def _decision_path(self, node: tree.Node) -> tuple[str, ...] | None:
        """Return the path below ``decision`` that an expression reads, up to its first computed key."""
        steps: list[str] = []
        while True:
            if isinstance(node, tree.Member):
                steps.append(node.field)
                node = node.operand
            elif isinstance(node, tree.Index):
                if isinstance(node.key, tree.Literal) and type(node.key.value) is str:
                    steps.append(node.key.value)
                else:
                    steps.clear()
                node = node.operand
            elif isinstance(node, tree.Name) and node.name == "decision" and node.name not in self.scope:
                return tuple(reversed(steps))
            else:
                return None

    def _qualified(self, node: tree.Node) -> str | None:
        """Return a dotted name, when that is all an expression is and its first name is no variable."""
        names: list[str] = []
        while isinstance(node, tree.Member) and not node.optional and len(names) < 8:
            names.append(node.field)
            node = node.operand
            if node.span[1] > node.mark[1]:
                return None  # in parentheses, so that a field of it is meant
        if not isinstance(node, tree.Name) or (node.name in self.scope and not node.rooted):
            return None
        return ".".join([node.name, *reversed(names)])

    def special_member(self, node: tree.Member) -> Part | None:
        """Return what a dotted name stands for when it is not a field of what stands before the dot."""
        operand = node.operand
        if isinstance(operand, tree.Name) and operand.name == "fact" and "fact" not in self.scope:
            kind = FACT_FIELDS.get(node.field)
            if kind is None:
                return self.refuse(node, "unknown-field", f"`fact` has no `{node.field}`", "it has id, type and time")
            variable = Variable(node.span, node.mark, kind, True, f"fact.{node.field}")
            if node.optional:
                return self.refuse(node, "unknown-field", "`fact` is not a map", f"write `fact.{node.field}`")
            return variable
        if node.field in {"Timestamp", "Duration", "IP", "CIDR"}:
            name = self._qualified(node)
            if name in TYPE_NAMES:
                return Const(node.span, node.span, type_named(name), False, TYPE_NAMES[name])
        return None

    def select(self, node: tree.Member, operand: Part) -> Part:
        """Select a field of a checked operand."""
        kind = operand.type.kind
        properties = _PROPERTIES.get(kind)
        if properties is not None and node.field in properties and not node.optional:
            result = properties[node.field]
            return Select(node.span, node.mark, result, operand.tainted, operand, node.field, False)
        if kind not in UNKNOWN and kind not in {"map", "optional"}:
            return self._no_members(node, node.operand, operand, f"has no field `{node.field}`")
        result = self._field_type(node, operand.type.item if kind == "optional" else operand.type, node.field)
        if node.optional or kind == "optional":
            result = Type("optional", (result,))
        return Select(node.span, node.mark, result, operand.tainted, operand, node.field, node.optional)

    def _field_type(self, node: tree.Node, type_: Type, name: str) -> Type:
        if type_.kind != "map":
            return JSON if type_.kind == "json" else DYN
        found = type_.field(name)
        if found is None:
            close = difflib.get_close_matches(name, [known for known, _ in type_.fields], 1)
            hint = f"did you mean `{close[0]}`?" if close else None
            self.tell("unknown-field", f"a fact of this type has no field `{name}` here", node.mark, hint)
            return JSON
        return found

    def _no_members(self, node: tree.Node, written: tree.Node, operand: Part, message: str) -> Part:
        if isinstance(operand, Const) and operand.type.kind == "type" and isinstance(written, tree.Name):
            return self.refuse(
                written,
                "type-name",
                f"`{written.name}` is a type here",
                f"the fact's field is written `payload.{written.name}`",
            )
        return self.refuse(node, "no-field", f"a value of type {operand.type} {message}")

    def bound(self, name: str, binding: Binding, check: Callable[[], Part]) -> Part:
        """Check a part with one more name in scope."""
        return self.all_bound({name: binding}, check)

    def all_bound(self, bindings: dict[str, Binding], check: Callable[[], Part]) -> Part:
        """Check a part with more names in scope."""
        outer = self.scope
        self.scope = {**outer, **bindings}
        try:
            return check()
        finally:
            self.scope = outer
