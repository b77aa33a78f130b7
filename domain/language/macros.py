"""Macros: calls whose arguments are names and expressions over them, expanded while a rule is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.language import tree
from domain.language.limits import MACRO_NESTING_MAX
from domain.language.names import Binding
from domain.language.plan import Bind, Choose, Loop, OptionalMap, Part, Variable
from domain.language.tokens import RESERVED
from domain.language.types import BOOL, DYN, INT, JSON, UNKNOWN, Type, join, list_of, map_of, may_be

if TYPE_CHECKING:
    from domain.language.check import Checker

_TESTS: Final = {"all": "all", "exists": "exists", "exists_one": "exists_one", "existsOne": "exists_one"}


def expand(checker: Checker, node: tree.Call) -> Part | None:
    """Return the part that a macro stands for, or None when a call is no macro (by its name and argument count)."""
    count = len(node.arguments)
    match node.function, count:
        case (("all" | "exists" | "exists_one" | "existsOne"), (2 | 3)):
            return _loop(checker, node, _TESTS[node.function], names=count - 1, test=count - 1, result=None)
        case "map", 2:
            return _loop(checker, node, "list", names=1, test=None, result=1)
        case "map", 3:
            return _loop(checker, node, "list", names=1, test=1, result=2)
        case "filter", 2:
            return _loop(checker, node, "list", names=1, test=1, result=None)
        case "transformList", (3 | 4):
            return _loop(checker, node, "list", names=2, test=2 if count == 4 else None, result=count - 1)
        case "transformMap", (3 | 4):
            return _loop(checker, node, "map", names=2, test=2 if count == 4 else None, result=count - 1)
        case "transformMapEntry", (3 | 4):
            return _loop(checker, node, "entries", names=2, test=2 if count == 4 else None, result=count - 1)
        case (("optMap" | "optFlatMap"), 2):
            return _optional_map(checker, node)
        case "sortBy", 2:
            return _sort_by(checker, node)
        case (("or" | "orValue"), 1):
            return _or(checker, node)
        case "bind", 3 if isinstance(node.target, tree.Name) and node.target.name == "cel":
            return _bind(checker, node)
    return None


def _variable(checker: Checker, node: tree.Node) -> str | None:
    name = checker.variable_name(node)
    if name is not None:
        if name in RESERVED:
            # Never lenient: such a text is no CEL.
            checker.tell("reserved", f"`{name}` is reserved", node.span)
        return name
    checker.tell("macro-variable", "a variable's name is expected here", node.span)
    return None


def _loop(
    checker: Checker, node: tree.Call, kind: str, *, names: int, test: int | None, result: int | None
) -> Part | None:
    assert node.target is not None
    source = checker.check(node.target)
    if not (may_be(source.type, "list") or may_be(source.type, "map")) and not checker.lenient:
        return checker.refuse(node, "no-overload", f"`{node.function}` goes over lists and maps, not {source.type}")
    if checker.loops >= MACRO_NESTING_MAX:
        return checker.refuse(node, "too-deep", f"macros are nested more than {MACRO_NESTING_MAX} deep")
    words = [_variable(checker, argument) for argument in node.arguments[:names]]
    if None in words:
        return checker.refuse(node, "macro-variable", "a variable is missing") if checker.lenient else _nothing(node)
    if names == 2 and words[0] == words[1]:
        checker.tell("macro-variable", "the two variables need different names", node.arguments[1].span)
    first, second = _element_types(source.type)
    types = [second if source.type.kind == "list" else first] if names == 1 else [first, second]
    if names == 1 and source.type.kind in UNKNOWN:
        types = [JSON if source.type.kind == "json" else DYN]
    bindings = {
        word: Binding(checker.fresh(), type_, source.tainted)
        for word, type_ in zip(words, types, strict=True)
        if word is not None
    }
    outer, checker.rounds = checker.rounds, _rounds(checker, source)
    checker.loops += 1
    try:
        tested = None
        if test is not None:
            position = test
            tested = checker.all_bound(bindings, lambda: checker.check(node.arguments[position]))
            checker.want_bool(tested, node.arguments[test], f"`{node.function}` tests a bool")
        made = None
        if result is not None:
            place = result
            made = checker.all_bound(bindings, lambda: checker.check(node.arguments[place]))
    finally:
        checker.loops -= 1
        checker.rounds = outer
    variables = tuple(binding.variable for binding in bindings.values())
    if kind == "list":
        type_ = list_of(made.type if made is not None else types[-1])
    elif kind == "map":
        type_ = map_of(first, made.type if made is not None else DYN)
    elif kind == "entries":
        type_ = made.type if made is not None and made.type.kind == "map" else map_of(DYN, DYN)
    else:
        type_ = BOOL
    parts = [part for part in (source, tested, made) if part is not None]
    tainted = any(part.tainted for part in parts)
    return Loop(node.span, node.mark, type_, tainted, kind, source, variables, tested, made)


def _rounds(checker: Checker, source: Part) -> int | None:
    """Return how often what a macro tests is evaluated, in one evaluation of the rule; None where facts tell."""
    constant = checker.constant(source)
    if checker.rounds is None or constant is None or type(constant.value) is not list:
        return None
    return checker.rounds * len(constant.value)


def _nothing(node: tree.Node) -> Part:
    from domain.language.plan import Failure

    return Failure(node.span, node.mark, DYN, True, "macro-variable", "a variable is missing")


def _element_types(source: Type) -> tuple[Type, Type]:
    """Return the types of index (or key) and element."""
    if source.kind == "list":
        return INT, source.parameters[0]
    if source.kind == "map":
        return source.parameters[0], source.parameters[1]
    if source.kind == "json":
        return JSON, JSON
    return DYN, DYN


def _bind(checker: Checker, node: tree.Call) -> Part:
    name = _variable(checker, node.arguments[0])
    value = checker.check(node.arguments[1])
    if name is None:
        return _nothing(node)
    binding = Binding(checker.fresh(), value.type, value.tainted)
    body = checker.bound(name, binding, lambda: checker.check(node.arguments[2]))
    return Bind(node.span, node.mark, body.type, body.tainted or value.tainted, binding.variable, value, body)


def _sort_by(checker: Checker, node: tree.Call) -> Part | None:
    """Make ``x.sortBy(v, key)`` of a list that is held, and the keys made of it."""
    from domain.language.library.lists import sort_by

    assert node.target is not None
    source = checker.check(node.target)
    if not may_be(source.type, "list") and not checker.lenient:
        return checker.refuse(node, "no-overload", f"`sortBy` goes over lists, not {source.type}")
    word = _variable(checker, node.arguments[0])
    if word is None:
        return _nothing(node)
    held, element = checker.fresh(), checker.fresh()
    source_type = source.type if source.type.kind == "list" else list_of(source.type.item)
    binding = Binding(element, source_type.item, source.tainted)
    outer, checker.rounds = checker.rounds, None
    checker.loops += 1
    key = checker.bound(word, binding, lambda: checker.check(node.arguments[1]))
    checker.loops -= 1
    checker.rounds = outer
    span, mark = node.span, node.mark
    variable = Variable(span, mark, source.type, source.tainted, held)
    tainted = source.tainted or key.tainted
    keys = Loop(span, mark, list_of(key.type), tainted, "list", variable, (element,), None, key)
    sorted_ = checker.invoke(node, "sortByKeys", sort_by, (variable, keys), source_type)
    return Bind(span, mark, source_type, tainted, held, source, sorted_)


def _or(checker: Checker, node: tree.Call) -> Part | None:
    """Make ``o.or(p)`` and ``o.orValue(x)`` a choice, so that the second is evaluated only when it is needed."""
    from domain.language.library.optionals import as_optional, get_value, has_value

    assert node.target is not None
    operand = checker.check(node.target)
    other = checker.check(node.arguments[0])
    flat = node.function == "or"
    if not checker.lenient:
        for part in (operand, other) if flat else (operand,):
            if not may_be(part.type, "optional"):
                return checker.refuse(node, "no-overload", f"`{node.function}` is of optionals, not of {part.type}")
    span, mark = node.span, node.mark
    held = Variable(span, mark, operand.type, operand.tainted, checker.fresh())
    tainted = operand.tainted or other.tainted
    test = checker.invoke(node, "hasValue", has_value, (held,), BOOL)
    if flat:
        then: Part = held
        other = checker.invoke(node, "asOptional", as_optional, (other,), other.type)
        result = join([operand.type, other.type])
        if result.kind != "optional":
            result = Type("optional", (DYN,))
    else:
        then = checker.invoke(node, "value", get_value, (held,), operand.type.item)
        result = join([operand.type.item, other.type])
    choice = Choose(span, mark, result, tainted, ((test, then),), other)
    return Bind(span, mark, result, tainted, held.name, operand, choice)


def _optional_map(checker: Checker, node: tree.Call) -> Part:
    assert node.target is not None
    operand = checker.check(node.target)
    if not may_be(operand.type, "optional") and not checker.lenient:
        return checker.refuse(node, "no-overload", f"`{node.function}` is of optionals, not of {operand.type}")
    name = _variable(checker, node.arguments[0])
    if name is None:
        return _nothing(node)
    binding = Binding(checker.fresh(), operand.type.item, operand.tainted)
    body = checker.bound(name, binding, lambda: checker.check(node.arguments[1]))
    flat = node.function == "optFlatMap"
    type_ = body.type if flat else Type("optional", (body.type,))
    tainted = body.tainted or operand.tainted
    return OptionalMap(node.span, node.mark, type_, tainted, operand, binding.variable, body, flat)
