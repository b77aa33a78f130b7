"""Every function and operator by name, and CEL's type names."""

from __future__ import annotations

from itertools import product
from typing import Final

from domain.language.library import (
    amounts,
    conversions,
    encoders,
    formatting,
    lists,
    network,
    numbers,
    operators,
    optionals,
    strings,
    times,
)
from domain.language.library.function import Function, by_name, function
from domain.language.values import TypeValue

_NUMBERS: Final = ("int", "uint", "double")
_EXACT: Final = ("decimal", "int", "uint")
_MIXED: Final = (("int", "int", "int"), ("uint", "uint", "uint"), ("double", "double", "double"),
                 ("int", "double", "double"), ("double", "int", "double"))  # fmt: skip
_DECIMALS: Final = tuple((a, b, "decimal") for a, b in product(_EXACT, _EXACT) if "decimal" in {a, b})


def _binary(name: str, *overloads: tuple[str, str, str]) -> tuple[str, ...]:
    return tuple(f"{name}({left}, {right}) {result}" for left, right, result in overloads)


def _ordering(name: str) -> tuple[str, ...]:
    same = ("bool", "string", "bytes", "timestamp", "duration", "money")
    pairs = [*product(_NUMBERS, _NUMBERS), *((kind, kind) for kind in same)]
    pairs += [(a, b) for a, b in product(_EXACT, _EXACT) if "decimal" in {a, b}]
    return tuple(f"{name}({left}, {right}) bool" for left, right in pairs)


OPERATORS: Final[tuple[Function, ...]] = (
    function(
        "+",
        operators.add,
        *_binary("+", *_MIXED, ("string", "string", "string"), ("bytes", "bytes", "bytes")),
        "+(list<A>, list<A>) list<A>",
        *_binary("+", ("timestamp", "duration", "timestamp"), ("duration", "timestamp", "timestamp")),
        *_binary("+", ("duration", "duration", "duration"), ("money", "money", "money"), *_DECIMALS),
        linear=True,
    ),
    function(
        "-",
        operators.subtract,
        *_binary("-", *_MIXED, ("timestamp", "timestamp", "duration"), ("timestamp", "duration", "timestamp")),
        *_binary("-", ("duration", "duration", "duration"), ("money", "money", "money"), *_DECIMALS),
    ),
    function(
        "*",
        operators.multiply,
        *_binary("*", *_MIXED, *_DECIMALS, *(("money", kind, "money") for kind in _EXACT)),
        *_binary("*", *((kind, "money", "money") for kind in _EXACT)),
    ),
    function(
        "/",
        operators.divide,
        *_binary("/", *_MIXED, *_DECIMALS, *(("money", kind, "money") for kind in _EXACT)),
        "/(money, money) decimal",
    ),
    function("%", operators.remainder, *_binary("%", ("int", "int", "int"), ("uint", "uint", "uint"))),
    function(
        "negative",
        operators.negate,
        *(f"negative({kind}) {kind}" for kind in ("int", "double", "duration", "decimal", "money")),
    ),
    function("!", operators.logical_not, "!(bool) bool"),
    function("==", operators.equal, "==(A, B) bool", linear=True),
    function("!=", operators.unequal, "!=(A, B) bool", linear=True),
    function("<", operators.less, *_ordering("<")),
    function("<=", operators.less_equal, *_ordering("<=")),
    function(">", operators.greater, *_ordering(">")),
    function(">=", operators.greater_equal, *_ordering(">=")),
    function("in", operators.contains, "in(A, list<B>) bool", "in(A, map<B, C>) bool", linear=True),
    function(
        "[]",
        operators.index,
        "[](list<A>, int) A",
        "[](list<A>, uint) A",
        "[](list<A>, double) A",
        *(f"[](map<A, B>, {key}) B" for key in ("string", "int", "uint", "bool", "double")),
        "[](optional<A>, B) optional",
    ),
)

FUNCTIONS: Final[dict[str, Function]] = by_name(
    OPERATORS,
    conversions.FUNCTIONS,
    strings.FUNCTIONS,
    times.FUNCTIONS,
    amounts.FUNCTIONS,
    numbers.FUNCTIONS,
    lists.FUNCTIONS,
    optionals.FUNCTIONS,
    encoders.FUNCTIONS,
    network.FUNCTIONS,
    formatting.FUNCTIONS,
)
# Functions that only macros call.
INTERNAL: Final = frozenset({"sortByKeys", "asOptional", "negative"})

# Names that stand for a type. `dyn` is none.
TYPE_NAMES: Final[dict[str, TypeValue]] = {
    name: TypeValue(name)
    for name in (
        "bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "optional_type",
        "google.protobuf.Timestamp", "google.protobuf.Duration", "net.IP", "net.CIDR", "decimal", "money", "email",
    )
}  # fmt: skip
MACROS: Final = frozenset(
    {
        "has", "all", "exists", "exists_one", "existsOne", "map", "filter", "transformList", "transformMap",
        "transformMapEntry", "optMap", "optFlatMap", "or", "orValue", "sortBy", "bind",
    }
)  # fmt: skip
