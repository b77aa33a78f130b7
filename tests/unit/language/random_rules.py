"""Random rules of what an index can be made of, with all that can come in its way, and facts that often meet them."""

import random
import re
from collections.abc import Callable
from typing import Any

PATHS = (*("a", "b", "o.x", "s", "o.t") * 4, "o.y", "o.p.q", "o", "t", "t.q", "dyn(a)", "xs[0]", "payload['k k']")
LISTS = ("xs", "xs", "os", "os", "o.xs", "o", "m", "t", "os[0].xs", "xs.filter(f, f != 1)", "[1, 'a', 'Ka']", "a")
TEXTS = [
    f"'{text}'" for text in ("a", "A", "ab", "Ka", "k", "s", "K", "\u212a", "\u017f", "ss", "", "1", ".", "\u00e9A")
]
EDGES = (
    *("1u", "-0.0", "9007199254740993", "9007199254740992.0", "1e300", "4611686018427387903", "4611686018427387904"),
    *("9223372036854775807", "18446744073709551615u", "-9223372036854775807", "9223372036854775808.0"),
)
NUMBERS = (*("0", "1", "1.0", "-1", "2.5", "3") * 3, *EDGES)
CONSTANTS = (*TEXTS * 2, *NUMBERS, *("true", "false", "null") * 4, "[1]", "[]", "decimal('1')", "b'a'", "{'a': 1}")
PATTERN_TEXTS = r"""
a ^a a$ ^ab$ ^$ . a|b ^a|b$ ^a|^b a.b a+b a*b ab? [ab]k (a|b)k (?:a)b a{2} ab{0,1}k a$|^ (a a^b a$b
(?i)ka (?i)^ss$ (?i)a|k (?i)[k]a A(?i)k (?im)^a (?s)a.k k(?i:a) [[:alpha:]]k (?i)^a.*s$
\\. \\d+a ^\\.a \\bK a\\x41 \\Qa \\w+\\.b
"""
PATTERNS = (*PATTERN_TEXTS.split(), "", "(?i)\u212a", "(?i)a|\u00e9")
VIEWS = ("", "", "", ".lowerAscii()", ".lowerAscii()", ".upperAscii()", ".trim()", ".upperAscii().trim().lowerAscii()")
OTHERS = (
    *("10 / b > 1", "b % 2 == 1", "a + 1 > 2", "o.x * 2.5 < 10", "a == b", "a < b", "o.x in xs", "b in {'a': 1}"),
    *("a != o.x", "s + s == 'aa'", "int(s) == 1", "timestamp(s) > timestamp(0)", "lists.range(200000).size() > 1"),
    *("n > 1", "big", "fact.type == 'order.placed'", "fact.time > timestamp(0)", "true", "false", "1 / 0 == 1"),
    *("dyn(1)", "type(a) == int", "a.?b.orValue(1) == 1", "o.?x.hasValue()", "o.?x.value() == 1", "decision.n > 1"),
    *("decision.r == 1", "has(fact.time)", "cel.bind(v, o.x, v == 1 || v == 'a')", "cel.bind(v, 10 / b, a == 1)"),
    *("xs.sum() > 1", "xs.map(x, x + 1).size() > 1", "low.contains('a')", "low == 'ab'", "a > limit", "s in few"),
    *("few.exists(f, s.contains(f))", "few.exists(f, xs.exists(x, x == f))", "s.substring(1) == 'b'", "xs == ['a']"),
    *("xs.exists(i, v, v == 'a')", "m.exists(k, v, k == 'a' && v == 1)", "xs.join() == 'a'", "size(dyn(xs)) > 1"),
    *("xs.transformList(i, v, v).size() > 0", "optional.of(a).optMap(v, v == 1).orValue(false)"),
    *("s.charAt(0) == 'a'", "[1, 2].exists(c, a > c)", "[1, 2].all(c, a > c)"),
)
LETS = (
    "let t = o.p\nlet n = xs.map(x, x).size()\nlet low = s.lowerAscii()\nlet few = ['a', 'Ka']\nlet limit = 1\n"
    "let big = a == 1 || b == 2\n"
)
KINDS = (
    *("compared", "compared", "between", "one of", "path", "viewed", "text", "text", "matches", "matches", "not", "or"),
    *("or", "choice", "has", "loop", "loop", "loop", "spread", "in path", "size", "other", "other"),
)
MACROS = ("exists", "exists", "exists", "exists", "all", "exists_one", "filter")


def condition(chance: random.Random, depth: int = 0) -> str:
    """Make up a condition."""
    return " && ".join(_part(chance, PATHS, depth) for _ in range(chance.choice((1, 1, 2, 2, 3))))


def _part(chance: random.Random, paths: tuple[str, ...], depth: int) -> str:
    path = chance.choice(paths)
    constant = chance.choice(CONSTANTS)
    kind = chance.choice(KINDS)
    if depth > 2 and kind in {"not", "or", "choice", "loop"}:
        kind = "compared"
    match kind:
        case "compared":
            operator = chance.choice(("==", "==", "==", "!=", "<", "<=", ">", ">="))
            if operator not in {"==", "!="}:
                constant = chance.choice((*NUMBERS, *TEXTS, "true"))
            return f"{path} {operator} {constant}" if chance.random() < 0.8 else f"{constant} {operator} {path}"
        case "between":
            return f"{path} >= {chance.choice(NUMBERS)} && {path} < {chance.choice(NUMBERS)}"
        case "one of":
            some = ", ".join(chance.choice(CONSTANTS) for _ in range(chance.randint(0, 4)))
            return f"{path}{chance.choice(VIEWS)} in [{some}]"
        case "path":
            return path
        case "viewed":
            return f"{path}{chance.choice(VIEWS)} {chance.choice(('==', '==', '!=', '<'))} {chance.choice(TEXTS)}"
        case "text":
            name = chance.choice(("contains", "contains", "startsWith", "endsWith"))
            return f"{path}{chance.choice(VIEWS)}.{name}({chance.choice(TEXTS)})"
        case "matches":
            return f'{path}{chance.choice(VIEWS)}.matches("{chance.choice(PATTERNS)}")'
        case "not":
            return f"!({_part(chance, paths, depth + 1)})"
        case "or":
            inner = [_part(chance, paths, depth + 1) for _ in range(chance.randint(2, 4))]
            return f"({chance.choice((' || ', ' || ', ' && ')).join(inner)})"
        case "choice":
            test, then, otherwise = (_part(chance, paths, depth + 1) for _ in range(3))
            return f"({test} ? {then} : {otherwise})"
        case "has":
            return chance.choice(("has(o.x)", "!has(o.x)", "has(payload.a)", "has(o.p.q)", "!has(t.q)", "has(os[0].x)"))
        case "loop":
            name = f"v{depth}"
            made = chance.choice(("exists", "exists", "exists", "all", "exists_one", "filter"))
            below = (
                name,
                name,
                f"{name}.x",
                f"{name}.x",
                f"{name}.n",
                f"{name}.xs[0]",
                *((path,) if chance.random() < 0.3 else ()),
            )
            test = " && ".join(_part(chance, below, depth + 1) for _ in range(chance.choice((1, 1, 2))))
            source = chance.choice(LISTS) if depth == 0 or chance.random() < 0.4 else f"v{depth - 1}.xs"
            text = f"{source}.{made}({name}, {test})"
            return f"{text}.size() {chance.choice(('> 0', '== 1', '!= 0', '< 2'))}" if made == "filter" else text
        case "spread":
            return _spread(chance, paths, depth)
        case "in path":
            return f"{constant} in {path if chance.random() < 0.3 else chance.choice(LISTS)}"
        case "size":
            return f"{path}.size() {chance.choice(('> 0', '== 0', '!= 0', '>= 1', '< 2'))}"
        case _:
            return chance.choice(OTHERS)


def _spread(chance: random.Random, paths: tuple[str, ...], depth: int) -> str:
    """Make up a macro over constants, which compares each of them with something of the fact."""
    name, path, view = f"c{depth}", chance.choice(paths), chance.choice(VIEWS)
    patterns = [f'"{pattern}"' for pattern in (*PATTERNS, "(", "a**", "[", "a{1001}")]
    element, constants = name, TEXTS
    match chance.randint(0, 7):
        case 0 | 1:
            test = (
                f"{path}{view} == {name}" if chance.random() < 0.7 else f"{name} {chance.choice(('==', '!='))} {path}"
            )
            constants = TEXTS if chance.random() < 0.6 else CONSTANTS
        case 2:
            test, constants = f"{path}{view}.matches({name})", tuple(patterns)
        case 3:
            test, constants = f"{path} {chance.choice(('<', '>=', 'in'))} {name}", (*NUMBERS, "'a'", "[1, 'a']")
        case 4:
            test = f"{name} in {chance.choice(LISTS)}"
            constants = CONSTANTS
        case _:
            element = chance.choice((name, name, name, f"{name}.lowerAscii()", f"{name}.x"))
            test = f"{path}{view}.{chance.choice(('contains', 'contains', 'startsWith', 'endsWith'))}({element})"
    if chance.random() < 0.25:
        test += f"{chance.choice((' && ', ' || '))}{_part(chance, (*paths, name), depth + 1 if depth else 2)}"
    listed = ", ".join(chance.choice(constants) for _ in range(chance.choice((0, 1, 2, 2, 3, 3, 4, 4))))
    source = "few" if constants is TEXTS and chance.random() < 0.3 else f"[{listed}]"
    made = chance.choice(MACROS)
    text = f"{source}.{made}({name}, {test})"
    return f"{text}.size() {chance.choice(('> 0', '== 1', '!= 0', '< 2'))}" if made == "filter" else text


def rule_text(chance: random.Random) -> str:
    """Make up a rule, a few of them tables."""
    if chance.random() < 0.1:
        columns = chance.choice(("a | o.x", "o.x | b", "s.lowerAscii() | a", "a | xs.map(x, x).size()", "s | 10 / b"))
        first, second = (*TEXTS, "1", "-", "true", "_ in [1, 2]"), ("-", "> 1", "1..3", "2, 3")
        rows = "\n".join(f"| {chance.choice(first)} | {chance.choice(second)} | {n} |" for n in range(3))
        return f"table {chance.choice(('first', 'unique', 'collect'))}\n| {columns} | set q |\n{rows}"
    return f"{LETS}when {condition(chance)}\nthen set r = 1"


COMMON = (0, 1, 2, 3, 1.0, 2.5, True, False, None, "a", "b", "ab", "A", "Ka", "K", "k", "aK", "ss", "SS", "a.b", ".a")
RARE = (
    *(-1, 0.0, -0.0, 0.5, "1", "", "\u212aa", "\u017fs", "\u00e9a", "\u00c9A", " ab ", "k\na", "1970-01-01T00:00:00Z"),
    *(1e300, 5e-324, 1e19, -1e300, -(2**63), 2**53, 2**53 + 1, float(2**53), 2**62 - 1, 2**62, float(2**62)),
    *(2**63 - 1, 2**63, float(2**63), 2**64 - 1, "aab", "a" * 1_100, "k" * 300, ["a"] * 101, {"a": "a"}),
    dict.fromkeys(map(str, range(101)), 1),
)


LONG = [1] * 100_001  # going over it takes more steps than a rule has
TEXT_OF = re.compile(r"'([^']*)'|\"([^\"]*)\"")
NUMBER_OF = re.compile(r"(?<![\w.'])-?\d+(?:\.\d+)?(?![\w.'])")


def words_of(source: str) -> list[Any]:
    """Return what a rule compares with, and what is next to it."""
    texts = [text for pair in TEXT_OF.findall(source) for text in pair]
    texts += [part for text in texts for part in re.findall(r"[^\W\d_]+|\.", text)]
    found: list[Any] = [*texts, *(change(text) for text in texts for change in CHANGES)]
    for number in NUMBER_OF.findall(source.partition("when")[2]):
        value = float(number)
        found += [value, value + 1, value - 1, *((int(value), int(value) + 1) if value.is_integer() else ())]
    return found or [1]


CHANGES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    lambda text: f"{text}b",
    lambda text: f"b{text}",
    lambda text: text.replace("k", "\u212a").replace("s", "\u017f"),
    lambda text: text + text,
)


def fact_of(chance: random.Random, words: list[Any]) -> dict[str, Any]:
    """Make up a fact: mostly with what conditions ask of it, now and then without, or with something else there."""

    def scalar() -> Any:
        return chance.choice(words if chance.random() < 0.6 else COMMON if chance.random() < 0.85 else RARE)

    def value() -> Any:
        if chance.random() < 0.9:
            return scalar()
        return listed() if chance.random() < 0.5 else some("xyqna", {})

    def some(names: str | list[str], made: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        return {name: made.get(name, value)() for name in names if chance.random() < 0.85}

    def often(make: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: make() if chance.random() < 0.85 else value()

    def listed() -> list[Any]:
        found = [scalar() for _ in range(chance.randint(0, 3))]
        if chance.random() < 0.06:
            return LONG if chance.random() < 0.5 else found * 60
        return found

    def text() -> Any:
        return chance.choice([one for one in (*words, *COMMON) if isinstance(one, str)])

    inner = often(lambda: some(["x", "n", "xs"], {"xs": often(listed)}))
    objects = often(lambda: [inner() for _ in range(chance.randint(0, 3))])
    below = often(lambda: some("q", {}))
    held = often(lambda: some(["x", "y", "p", "t", "xs"], {"p": below, "xs": often(listed), "t": often(text)}))
    made = {"xs": often(listed), "o": held, "os": objects, "s": often(text), "m": often(lambda: some("axn", {}))}
    return some(["a", "b", "k k", "s", "xs", "o", "os", "m"], made)
