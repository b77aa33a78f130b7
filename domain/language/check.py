"""From the syntax tree to the plan: names, arity and types are checked, and every problem is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from domain.language import macros, tree
from domain.language.faults import Fault, strict
from domain.language.library import operators
from domain.language.library.catalogue import FUNCTIONS, INTERNAL
from domain.language.library.function import Function
from domain.language.limits import NESTING_MAX, PATTERNS_MAX, UNMETERED_SEARCHES_MAX
from domain.language.names import FACT_FIELDS
from domain.language.plan import (
    Choose,
    Const,
    Failure,
    Has,
    Invoke,
    Logic,
    MakeList,
    MakeMap,
    Part,
)
from domain.language.refusals import CallRefusals, with_article
from domain.language.syntax import is_int_literal_in_range, reserved_hint
from domain.language.tokens import RESERVED
from domain.language.types import (
    BOOL,
    DYN,
    NUMBERS,
    UNKNOWN,
    Type,
    accepts,
    bind,
    join,
    list_of,
    map_of,
    may_be,
    type_of_constant,
    unify,
)

# How much of UNMETERED_SEARCHES_MAX a call takes; there may be as many of patterns as a rule can hold otherwise.
_SEARCHES: Final = {
    **dict.fromkeys(("lowerAscii", "upperAscii", "trim", "==", "!="), 1),
    "contains": 4,
    "matches": UNMETERED_SEARCHES_MAX // PATTERNS_MAX,
}
_SCALARS: Final = frozenset({"string", "bool", "null", *NUMBERS})  # equal to nothing that has elements


@lru_cache(maxsize=8192)
def resolve(name: str, method: bool, types: tuple[Type, ...]) -> tuple[bool, Type | None]:
    """Return whether a function has overloads of this form and number, and their joint result; None when none fit."""
    return resolve_among(FUNCTIONS[name], method, types)


def resolve_among(function: Function, method: bool, types: tuple[Type, ...]) -> tuple[bool, Type | None]:
    """Return what ``resolve`` does, for a function that need not be one of the language's."""
    known = False
    fitting: list[Type] = []
    for signature in function.signatures:
        parameters = signature.of_arity(len(types)) if signature.method == method else None
        if parameters is None:
            continue
        known = True
        if all(map(accepts, parameters, types)):
            fitting.append(bind(signature, list(types)))
    if fitting and function.infer is not None:
        return True, function.infer(types)
    return known, join(fitting) if fitting else None


class Checker(CallRefusals):
    """Checks the expressions of one rule. With ``lenient``, what is wrong fails when it runs and not before."""

    # What the expression may use

    has_macros = True

    def expand(self, node: tree.Call) -> Part | None:
        """Return the part that a macro's call stands for, or None for a call of a function."""
        return macros.expand(self, node)

    def resolve(self, name: str, method: bool, types: tuple[Type, ...]) -> tuple[bool, Type | None]:
        """Return whether a function has overloads of this form and number, and their joint result."""
        return resolve(name, method, types)

    def check(self, node: tree.Node) -> Part:
        """Check an expression."""
        if self.depth > NESTING_MAX:
            if not any(problem.code == "too-deep" for problem in self.problems):
                self.tell("too-deep", f"expressions are nested more than {NESTING_MAX} deep", node.mark)
            return Failure(node.span, node.mark, DYN, True, "too-deep", "too deep")
        self.depth += 1
        try:
            return self._CHECKS[type(node)](self, node)
        finally:
            self.depth -= 1

    def _literal(self, node: tree.Literal) -> Part:
        if type(node.value) is int and not is_int_literal_in_range(node.value):
            # Never lenient: such a text is no CEL.
            self.tell("number-range", "the number is beyond 64 bits", node.mark)
        return Const(node.span, node.mark, type_of_constant(node.value), False, node.value)

    def _parameter(self, node: tree.Parameter) -> Part:
        if self.parameters is None:
            return self.refuse(node, "template-parameter", f"`${{{node.name}}}` has no value: this is not a template")
        type_ = self.parameters.get(node.name, DYN)
        return Failure(node.span, node.mark, type_, type_ == DYN, "template-parameter", "a template is not evaluated")

    def _name(self, node: tree.Name) -> Part:
        found = self.lookup(node)
        if found is not None:
            return found
        if node.name in RESERVED:
            return self.refuse(node, "reserved", f"`{node.name}` is reserved", reserved_hint(node.name))
        return self.unbound(node)

    # Members and elements

    def _within_decision(self, node: tree.Node, operand: tree.Node) -> Part:
        if self._reading or self._decision_path(node) is None:
            return self.check(operand)
        self._read(self._decision_path(node) or ())
        self._reading = True
        try:
            return self.check(operand)
        finally:
            self._reading = False

    def _member(self, node: tree.Member) -> Part:
        special = self.special_member(node)
        if special is not None:
            return special
        operand = self._within_decision(node, node.operand)
        return self.select(node, operand)

    def _index(self, node: tree.Index) -> Part:
        operand = self._within_decision(node, node.operand)
        reading, self._reading = self._reading, False
        key = self.check(node.key)
        self._reading = reading
        negative = isinstance(key, Const) and type(key.value) is int and key.value < 0
        if negative and not node.optional and may_be(operand.type, "list"):
            self.tell("negative-index", "a list has no negative index", key.mark, "the last is `x[size(x) - 1]`")
        if node.optional or operand.type.kind == "optional":
            held = operand.type.item if operand.type.kind == "optional" else operand.type
            item = self.resolve("[]", False, (held, key.type))[1]
            call = operators.optional_index if node.optional else operators.index
            name = "[?]" if node.optional else "[]"
            return self.invoke(node, name, call, (operand, key), Type("optional", (item or DYN,)))
        return self.apply(node, "[]", (operand, key), written=(node.operand, node.key))

    # Functions and operators

    def invoke(
        self, node: tree.Node, name: str, call: Callable[..., Any], arguments: tuple[Part, ...], result: Type
    ) -> Part:
        """Make a call; without fact data, an overload that is lacking is a fault."""
        tainted = any(argument.tainted for argument in arguments)
        if not tainted:
            call = strict(call)
            if all(isinstance(argument, Const) for argument in arguments):
                try:
                    value = call(*(argument.value for argument in arguments if isinstance(argument, Const)))
                except (Fault, KeyError, TypeError):
                    pass  # it fails when it runs, where it may be absorbed
                else:
                    return Const(node.span, node.mark, result, False, value)
        known = FUNCTIONS.get(name)
        metered = self.loops > 0 and known is not None and known.linear and not self._is_unmetered(name, arguments)
        return Invoke(node.span, node.mark, result, tainted, name, call, arguments, metered)

    def _is_unmetered(self, name: str, arguments: tuple[Part, ...]) -> bool:
        """Return whether a call searches a string for constants in turn: as cheap as alternatives that are written.

        Such calls take no steps for the size of what they search, as far as UNMETERED_SEARCHES_MAX goes.
        """
        if self.rounds is None or name not in _SEARCHES:
            return False
        if name in {"==", "!="} and not any(argument.type.kind in _SCALARS for argument in arguments):
            return False
        taken = self.rounds * _SEARCHES[name]
        if taken > self._searches:
            return False
        self._searches -= taken
        return True

    def apply(
        self,
        node: tree.Node,
        name: str,
        arguments: tuple[Part, ...],
        *,
        method: bool = False,
        written: tuple[tree.Node, ...] = (),
    ) -> Part:
        """Check a call of a known function and make it."""
        function = self.functions[name]
        known, result = self.resolve(name, method, tuple(argument.type for argument in arguments))
        if not known:
            return self._wrong_form(node, name, arguments, method=method)
        if result is None:
            for argument, source in zip(arguments, written, strict=False):
                if isinstance(argument, Const) and argument.type.kind == "type" and isinstance(source, tree.Name):
                    return self._no_members(node, source, argument, "")
            if self.lenient:
                return self.invoke(node, name, function.call, arguments, DYN)
            return self._no_overload(node, name, arguments, method=method)
        call = function.call
        if function.prepare is not None:
            constants = {n: a.value for n, a in enumerate(arguments) if isinstance(a, Const)}
            if name == "matches" and not self._may_hold_pattern(constants.get(1)):
                return self.refuse(node, "too-costly", f"a rule has at most {PATTERNS_MAX} different patterns")
            try:
                call = function.prepare(constants) or call
            except ValueError as error:
                return self.refuse(node, "bad-constant", f"`{name}`: {error}")
        return self.invoke(node, name, call, arguments, result)

    def _may_hold_pattern(self, pattern: Any) -> bool:
        if type(pattern) is str:
            self._patterns.add(pattern)
        return len(self._patterns) <= PATTERNS_MAX

    def _call(self, node: tree.Call) -> Part:
        if node.target is None:
            if node.function == "has" and self.has_macros:
                return self._has(node)
            name = node.function
        else:
            macro = self.expand(node)
            if macro is not None:
                return macro
            root = self._qualified(node.target)
            name = f"{root}.{node.function}" if root is not None else ""
            if name in self.functions:
                return self.apply(node, name, self._arguments(node), written=node.arguments)
            target = self.check(node.target)
            arguments = (target, *self._arguments(node))
            if node.function not in self.functions or node.function in INTERNAL:
                return self._unknown_function(node, method=True)
            return self.apply(node, node.function, arguments, method=True, written=(node.target, *node.arguments))
        arguments = self._arguments(node)
        if name not in self.functions or name in INTERNAL:
            return self._unknown_function(node, method=False)
        return self.apply(node, name, arguments, written=node.arguments)

    def _arguments(self, node: tree.Call) -> tuple[Part, ...]:
        return tuple(map(self.check, node.arguments))

    def _has(self, node: tree.Call) -> Part:
        if len(node.arguments) != 1:
            return self.refuse(node, "argument-count", f"`has` takes 1 argument, not {len(node.arguments)}")
        argument = node.arguments[0]
        if isinstance(argument, tree.Name):
            hint = f"write `has(payload.{argument.name})`"
            return self.refuse(node, "has-argument", "`has` asks for a field, such as `has(a.b)`", hint)
        if not isinstance(argument, tree.Member) or argument.optional:
            return self.refuse(node, "has-argument", "`has` asks for a field, such as `has(a.b)`")
        if isinstance(argument.operand, tree.Name) and argument.operand.name == "fact" and "fact" not in self.scope:
            if argument.field not in FACT_FIELDS:
                return self.check(argument)
            return Has(node.span, node.mark, BOOL, True, self.payload(argument), f"fact.{argument.field}")
        operand = self._within_decision(argument, argument.operand)
        kind = operand.type.kind
        if operand.type.closed:
            self._field_type(argument, operand.type, argument.field)
        if kind not in UNKNOWN and kind not in {"map", "optional"}:
            return self._no_members(argument, argument.operand, operand, f"has no field `{argument.field}`")
        return Has(node.span, node.mark, BOOL, operand.tainted, operand, argument.field)

    def _unary(self, node: tree.Unary) -> Part:
        name = "!" if node.operator == "!" else "negative"
        return self.apply(node, name, (self.check(node.operand),), written=(node.operand,))

    def _binary(self, node: tree.Binary) -> Part:
        # A long chain leans to the left: it is walked down and folded up without recursion.
        chain: list[tree.Binary] = [node]
        while isinstance(chain[-1].left, tree.Binary):
            chain.append(chain[-1].left)
        left = self.check(chain[-1].left)
        for link in reversed(chain):
            right = self.check(link.right)
            left = self._operate(link, left, right)
        return left

    def _operate(self, node: tree.Binary, left: Part, right: Part) -> Part:
        if node.operator in {"==", "!="} and not self.lenient:
            for one, written, other in ((left, node.left, right), (right, node.right, left)):
                if (
                    isinstance(one, Const)
                    and one.type.kind == "type"
                    and isinstance(written, tree.Name)
                    and not may_be(other.type, "type")
                ):
                    return self._no_members(node, written, one, "")
        return self.apply(node, node.operator, (left, right), written=(node.left, node.right))

    def _logic(self, node: tree.Logic) -> Part:
        items = tuple(map(self.check, node.items))
        for item, written in zip(items, node.items, strict=True):
            self.want_bool(item, written, f"`{node.operator}` joins bools")
        return Logic(node.span, node.mark, BOOL, any(item.tainted for item in items), node.operator, items)

    def want_bool(self, part: Part, node: tree.Node, message: str) -> None:
        """Tell when a part can't be a bool."""
        if may_be(part.type, "bool") or self.lenient:
            return
        if isinstance(part, Const) and part.type.kind == "type" and isinstance(node, tree.Name):
            self._no_members(node, node, part, "")
            return
        self.tell("not-a-bool", f"{message}, and this is {with_article(part.type)}", node.span)

    def _conditional(self, node: tree.Conditional) -> Part:
        branches = []
        for test, value in node.branches:
            checked = self.check(test)
            self.want_bool(checked, test, "`?:` tests a bool")
            branches.append((checked, self.check(value)))
        otherwise = self.check(node.otherwise)
        parts = [part for pair in branches for part in pair] + [otherwise]
        result = unify([value.type for _, value in branches] + [otherwise.type])
        return Choose(node.span, node.mark, result, any(part.tainted for part in parts), tuple(branches), otherwise)

    def _list(self, node: tree.ListOf) -> Part:
        items = tuple(map(self.check, node.items))
        types = [item.type.item if optional else item.type for item, optional in zip(items, node.optional, strict=True)]
        for item, optional, written in zip(items, node.optional, node.items, strict=True):
            if optional and not may_be(item.type, "optional") and not self.lenient:
                self.tell("not-optional", "`?` stands before an optional", written.span)
        if not any(node.optional) and all(isinstance(item, Const) for item in items):
            value = [item.value for item in items if isinstance(item, Const)]
            return Const(node.span, node.mark, list_of(unify(types)), False, value)
        tainted = any(item.tainted for item in items)
        return MakeList(node.span, node.mark, list_of(unify(types)), tainted, items, node.optional)

    def _map(self, node: tree.MapOf) -> Part:
        entries = tuple((self.check(key), self.check(value), optional) for key, value, optional in node.entries)
        seen: set[Any] = set()
        for (key, value, optional), (written, written_value, _) in zip(entries, node.entries, strict=True):
            self._map_key(key, written, seen)
            if optional and not may_be(value.type, "optional") and not self.lenient:
                self.tell("not-optional", "`?` stands before an entry whose value is an optional", written_value.span)
        values = [value.type.item if optional else value.type for _, value, optional in entries]
        result = map_of(unify([key.type for key, _, _ in entries]), unify(values))
        flat = [part for key, value, _ in entries for part in (key, value)]
        if all(isinstance(part, Const) for part in flat) and not any(optional for _, _, optional in entries):
            try:
                made = operators.make_map(*(part.value for part in flat if isinstance(part, Const)))
            except Fault:
                pass  # it fails when it runs
            else:
                return Const(node.span, node.mark, result, False, made)
        tainted = any(part.tainted for part in flat)
        return MakeMap(node.span, node.mark, result, tainted, entries)

    def _map_key(self, key: Part, written: tree.Node, seen: set[Any]) -> None:
        if self.lenient:
            return
        if not any(may_be(key.type, kind) for kind in ("string", "int", "uint", "bool")):
            hint = None
            self.tell("map-key", f"a map's key can't be {with_article(key.type)}", written.span, hint)
        elif isinstance(key, Const):
            stored = (type(key.value) is bool, key.value)
            if stored in seen:
                self.tell("map-key", "the key is there twice", written.span)
            seen.add(stored)

    _CHECKS: Final[Mapping[type, Callable[..., Part]]] = {
        tree.Literal: _literal,
        tree.Parameter: _parameter,
        tree.Name: _name,
        tree.Member: _member,
        tree.Index: _index,
        tree.Call: _call,
        tree.Unary: _unary,
        tree.Binary: _binary,
        tree.Logic: _logic,
        tree.Conditional: _conditional,
        tree.ListOf: _list,
        tree.MapOf: _map,
    }
