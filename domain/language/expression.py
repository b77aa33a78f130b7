"""A bare CEL expression over variables of any names, for the conformance suite and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.language import tree
from domain.language.check import Checker, resolve_among
from domain.language.evaluation import new_state
from domain.language.faults import MISSING_ERRORS, Fault
from domain.language.functions import FunctionWriter
from domain.language.library.catalogue import FUNCTIONS, TYPE_NAMES
from domain.language.library.function import Function
from domain.language.limits import LETS_MAX
from domain.language.names import Binding
from domain.language.outcome import RuleFault
from domain.language.plan import Const, Part, Select
from domain.language.problems import InvalidRuleError, Problem
from domain.language.syntax import parse_expression
from domain.language.tokens import Positions
from domain.language.types import DYN, Type, type_named


class _NamesChecker(Checker):
    """Resolves names among declared variables, whose names may be dotted, within a container."""

    def __init__(
        self,
        positions: Positions,
        problems: list[Problem],
        *,
        lenient: bool,
        names: Mapping[str, Type],
        container: str,
        functions: Mapping[str, Function],
        has_macros: bool,
    ) -> None:
        super().__init__(positions, problems, lenient=lenient)
        self.names = names
        self.has_macros = has_macros
        steps = container.split(".") if container else []
        self.lets: list[tuple[str, Part]] = []
        self.prefixes = [".".join(steps[:count]) + "." for count in range(len(steps), 0, -1)] + [""]
        named = {**FUNCTIONS, **functions}
        within = {
            name.removeprefix(prefix): function
            for prefix in reversed(self.prefixes)
            for name, function in named.items()
            if name.startswith(prefix) and name.removeprefix(prefix) not in FUNCTIONS
        }
        self.declared_functions = {**within, **functions}
        self.functions = {**FUNCTIONS, **self.declared_functions}

    def resolve(self, name: str, method: bool, types: tuple[Type, ...]) -> tuple[bool, Type | None]:
        function = self.declared_functions.get(name)
        return super().resolve(name, method, types) if function is None else resolve_among(function, method, types)

    def _declared(self, name: str, node: tree.Node, *, rooted: bool) -> Part | None:
        for prefix in [""] if rooted else self.prefixes:
            type_ = self.names.get(prefix + name)
            if type_ is not None:
                return Select(node.span, node.mark, type_, False, self.payload(node), prefix + name, False)
            if prefix + name in TYPE_NAMES:
                return Const(node.span, node.mark, type_named(prefix + name), False, TYPE_NAMES[prefix + name])
        return None

    def variable_name(self, node: tree.Node) -> str | None:
        if isinstance(node, tree.Name) and not node.rooted:
            return node.name
        return _numbered_variable(node) if self._is_of_cel(node) else None

    # cel.block([e0, e1, ...], e), where cel.index(n) stands for en, in later elements and in e

    def _is_of_cel(self, node: tree.Node) -> bool:
        return (
            isinstance(node, tree.Call)
            and isinstance(node.target, tree.Name)
            and node.target.name == "cel"
            and "cel" not in self.scope
        )

    def expand(self, node: tree.Call) -> Part | None:
        if not self.has_macros:
            return None
        if self._is_of_cel(node):
            match node.function, node.arguments:
                case "block", (tree.ListOf(items=items), body):
                    return self._block(node, items, body)
            name = _numbered_variable(node)
            if name is not None:
                return self.check(tree.Name(node.span, node.mark, name, False))
        return super().expand(node)

    def _block(self, node: tree.Call, elements: tuple[tree.Node, ...], body: tree.Node) -> Part:
        """Check the elements as lets, which are evaluated once where they are needed, and what is made of them."""
        if not all(binding.variable.startswith("let:") for binding in self.scope.values()):
            return self.refuse(node, "macro-variable", "a block stands outside the other macros")
        if len(self.lets) + len(elements) > LETS_MAX:
            return self.refuse(node, "too-long", f"blocks have at most {LETS_MAX} elements")
        outer = self.scope
        self.scope = {name: binding for name, binding in outer.items() if not name.startswith("@index")}
        try:
            for number, element in enumerate(elements):
                part = self.check(element)
                variable = f"let:{len(self.lets)}"
                self.lets.append((variable, part))
                self.scope = {**self.scope, f"@index:{number}": Binding(variable, part.type, part.tainted)}
            return self.check(body)
        finally:
            self.scope = outer

    def lookup(self, node: tree.Name) -> Part | None:
        if node.rooted or node.name not in self.scope:
            declared = self._declared(node.name, node, rooted=node.rooted)
            if declared is not None:
                return declared
        if node.name in {"payload", "decision", "fact"} and node.name not in self.scope:
            return None
        return super().lookup(node)

    def unbound(self, node: tree.Name) -> Part:
        return self.refuse(node, "unknown-name", f"no variable `{node.name}`")

    def special_member(self, node: tree.Member) -> Part | None:
        name = self._qualified(node)
        if name is not None:
            root: tree.Node = node
            while isinstance(root, tree.Member):
                root = root.operand
            declared = self._declared(name, node, rooted=isinstance(root, tree.Name) and root.rooted)
            if declared is not None:
                return declared
            if isinstance(node.operand, tree.Name) and node.operand.name == "fact":
                return None
        return super().special_member(node)


def _numbered_variable(node: tree.Node) -> str | None:
    """Return the name that ``cel.index(n)``, ``cel.iterVar(depth, n)`` or ``cel.accuVar(depth, n)`` stands for."""
    if not isinstance(node, tree.Call):
        return None
    numbers = [argument.value for argument in node.arguments if isinstance(argument, tree.Literal)]
    counts = {"index": 1, "iterVar": 2, "accuVar": 2}
    if len(numbers) != len(node.arguments) or counts.get(node.function) != len(numbers):
        return None
    return f"@{node.function}:{':'.join(map(str, numbers))}"


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """An expression ready to be evaluated; ``type`` is its static type."""

    source: str
    type: Type
    function: Any
    lets: int

    def __call__(self, bindings: Mapping[str, Any] | None = None) -> Any:
        """Return the value for these bindings; raises RuleFault, with the code ``missing-value`` for missing."""
        try:
            return self.function(dict(bindings or {}), None, {}, new_state(self.lets))
        except Fault as fault:
            raise RuleFault(fault.code, fault.message) from None
        except MISSING_ERRORS as error:
            raise RuleFault("missing-value", str(error) or "a value is missing") from None


def compile_expression(
    source: str,
    names: Mapping[str, Type] | Iterable[str] = (),
    *,
    container: str = "",
    check: bool = True,
    functions: Mapping[str, Function] | None = None,
    macros: bool = True,
) -> CompiledExpression:
    """Compile an expression over declared names, and functions beside the language's; raises InvalidRuleError.

    Without ``check``, wrong names, functions and types are faults when it runs. Without ``macros``, a macro's call is
    that of a function.
    """
    declared = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, DYN)
    positions = Positions(source)
    problems: list[Problem] = []
    node = parse_expression(source, positions, problems)
    if node is None:
        raise InvalidRuleError(problems or [Problem("empty", "DSL content cannot be empty", 1, 1)])
    checker = _NamesChecker(
        positions,
        problems,
        lenient=not check,
        names=declared,
        container=container,
        functions=functions or {},
        has_macros=macros,
    )
    part = checker.check(node)
    if any(problem.severity == "error" for problem in problems):
        raise InvalidRuleError(problems)
    emitter = FunctionWriter(tuple(checker.lets))
    emitter.count_uses(part)
    stateful = emitter.expression("expression", part)
    function = emitter.functions_of(["expression"])["expression"]
    if not stateful:
        plain = function

        def function(payload: Any, fact: Any, decision: Any, _state: Any) -> Any:
            return plain(payload, fact, decision)

    return CompiledExpression(source, part.type, function, len(checker.lets))
