"""Security detection rules, events, and what each rule makes of each event, computed without the product's code.

A rule is a small tree (nested tuples), in the style of public detection rules. ``Detection.text`` is the tree in the
rule language, ``verdict`` its meaning by the language's description: true, false, missing or a fault.

The shapes of a tree:

    ("all", items) ("any", items) ("not", item)
    ("text", path, folded, way, literal)     way: contains, startsWith, endsWith, ==, !=
    ("in", path, folded, literals)           ("has", path)             ("matches", path, pattern)
    ("number", path, operator, number)       ("int", path, operator, number)   of a string, which may be none
    ("exists", path, item) ("every", path, item)   over a list's elements; ``("@", …)`` is a path from the element
    ("among", macro, path, folded, way, literals)   ["a", "b"].exists(x, path.contains(x))
                                             way: as of a text, or matches, or in (x in path, a list); macro: exists,
                                             all, exists_one, or filter with a size over 0
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

Tree = tuple[Any, ...]
Path = tuple[str, ...]
Verdict = bool | str
Names = dict[tuple[str, ...], str]  # of lets, by the path that each holds in lower case, or by LIST and the list

MISSING: Final = "missing"
FAULT: Final = "fault"
PRIORITIES: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW")  # in order
ABSENT: Final = object()
LIST: Final = "[]"  # no step of a path


@dataclass(frozen=True, slots=True)
class Detection:
    """A rule: its name, its priority, the types of events that it is for (none: all), and its condition."""

    name: str
    priority: str
    types: tuple[str, ...]
    tree: Tree
    is_bare: bool
    by_let: bool

    @property
    def text(self) -> str:
        """The rule in the rule language."""
        paths = [path for path, count in _folded_paths(self.tree).items() if count > 1] if self.by_let else []
        names: Names = {path: f"text{number}" for number, path in enumerate(paths)}
        lists = list(dict.fromkeys(_lists(self.tree))) if self.by_let else []
        names |= {(LIST, *literals): f"list{number}" for number, literals in enumerate(lists)}
        condition = _written(self.tree, names)
        if self.is_bare and not self.types and not names:
            return condition
        lines = [f"on {', '.join(self.types)}"] if self.types else []
        lines += [f"let text{number} = {_joined(path)}.lowerAscii()" for number, path in enumerate(paths)]
        lines += [f"let list{number} = {_listed(literals)}" for number, literals in enumerate(lists)]
        lines.append(f"when {condition}")
        lines += ["then", f"  append {_quoted(self.name)} to alerts", "  add 10 to score"]
        return "\n".join(lines)

    def verdict(self, event_type: str, event: dict[str, Any]) -> Verdict:
        """Return what the rule makes of an event; false for an event of another type."""
        if self.types and event_type not in self.types:
            return False
        return _verdict(self.tree, event, None)

    @property
    def sort_key(self) -> tuple[int, str]:
        """Where it stands among a decision's matches."""
        return PRIORITIES.index(self.priority), self.name


# The meaning of a tree


def _verdict(tree: Tree, event: Any, element: Any) -> Verdict:
    return _VERDICTS[tree[0]](tree, event, element)


def _all(tree: Tree, event: Any, element: Any) -> Verdict:
    return _joint((_verdict(item, event, element) for item in tree[1]), decides=False)


def _any(tree: Tree, event: Any, element: Any) -> Verdict:
    return _joint((_verdict(item, event, element) for item in tree[1]), decides=True)


def _joint(verdicts: Iterable[Verdict], *, decides: bool) -> Verdict:
    """One that decides decides, else missing wins over faults."""
    found: Verdict = not decides
    for one in verdicts:
        if one is decides:
            return one
        if one == MISSING or (one == FAULT and found != MISSING):
            found = one
    return found


def _not(tree: Tree, event: Any, element: Any) -> Verdict:
    found = _verdict(tree[1], event, element)
    return found if found in (MISSING, FAULT) else not found


def _text(tree: Tree, event: Any, element: Any) -> Verdict:
    _, path, folded, way, literal = tree
    value = value_at(path, event, element)
    if value is ABSENT or (type(value) is not str and (folded or way not in {"==", "!="})):
        return MISSING
    if folded:
        value = _lowered(value)
    return _WAYS[way](value, literal)


def _in(tree: Tree, event: Any, element: Any) -> Verdict:
    _, path, folded, literals = tree
    value = value_at(path, event, element)
    if value is ABSENT or (folded and type(value) is not str):
        return MISSING
    return type(value) is str and (_lowered(value) if folded else value) in literals


def _among(tree: Tree, event: Any, element: Any) -> Verdict:
    _, macro, path, folded, way, literals = tree
    verdicts = [_of_constant(path, folded, way, one, event, element) for one in literals]
    if macro in {"exists", "all"}:
        return _joint(verdicts, decides=macro == "exists")
    failed = next((one for one in verdicts if one in (MISSING, FAULT)), None)  # the first that fails, fails all
    if failed is not None:
        return failed
    return verdicts.count(True) == 1 if macro == "exists_one" else True in verdicts


def _of_constant(path: Path, folded: bool, way: str, literal: str, event: Any, element: Any) -> Verdict:
    if way == "matches":
        return _matches(("matches", path, literal), event, element)
    if way != "in":
        return _text(("text", path, folded, way, literal), event, element)
    values = value_at(path, event, element)
    return MISSING if type(values) not in (list, dict) else any(type(one) is str and one == literal for one in values)


def _has(tree: Tree, event: Any, element: Any) -> Verdict:
    return value_at(tree[1], event, element) is not ABSENT


def _matches(tree: Tree, event: Any, element: Any) -> Verdict:
    value = value_at(tree[1], event, element)
    return re.search(tree[2], value) is not None if type(value) is str else MISSING


def _number(tree: Tree, event: Any, element: Any) -> Verdict:
    _, path, operator, number = tree
    value = value_at(path, event, element)
    return _NUMBERS[operator](value, number) if type(value) in (int, float) else MISSING


def _int(tree: Tree, event: Any, element: Any) -> Verdict:
    _, path, operator, number = tree
    value = value_at(path, event, element)
    if type(value) not in (int, str):
        return MISSING
    if type(value) is str and re.fullmatch(r"-?[0-9]{1,18}", value) is None:
        return FAULT
    return _NUMBERS[operator](int(value), number)


def _exists(tree: Tree, event: Any, element: Any) -> Verdict:
    return _over(tree, event, element, decides=True)


def _every(tree: Tree, event: Any, element: Any) -> Verdict:
    return _over(tree, event, element, decides=False)


def _over(tree: Tree, event: Any, element: Any, *, decides: bool) -> Verdict:
    _, path, test = tree
    values = value_at(path, event, element)
    if type(values) not in (list, dict):
        return MISSING
    return _joint((_verdict(test, event, one) for one in values), decides=decides)


def value_at(path: Path, event: Any, element: Any = None) -> Any:
    """Return the value at a path of an event, or of an element of its; ABSENT where there is none."""
    value = event
    if path[0] == "@":
        path, value = path[1:], element
    for step in path:
        if type(value) is not dict or step not in value:
            return ABSENT
        value = value[step]
    return value


@lru_cache(maxsize=256)
def _lowered(text: str) -> str:
    return "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in text)


_VERDICTS: Final[dict[str, Callable[[Tree, Any, Any], Verdict]]] = {
    "all": _all, "any": _any, "not": _not, "text": _text, "in": _in, "among": _among, "has": _has,
    "matches": _matches, "number": _number, "int": _int, "exists": _exists, "every": _every,
}  # fmt: skip
_WAYS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "contains": lambda value, part: part in value,
    "startsWith": lambda value, part: value.startswith(part),
    "endsWith": lambda value, part: value.endswith(part),
    "==": lambda value, other: value == other,
    "!=": lambda value, other: value != other,
}
_NUMBERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda value, number: value == number,
    "!=": lambda value, number: value != number,
    "<": lambda value, number: value < number,
    ">=": lambda value, number: value >= number,
}


# A tree in the rule language


def _written(tree: Tree, names: Names) -> str:
    kind = tree[0]
    if kind in {"all", "any"}:
        word = " && " if kind == "all" else " || "
        return word.join(f"({_written(item, names)})" if item[0] in {"all", "any"} else _written(item, names)
                         for item in tree[1])  # fmt: skip
    if kind == "not":
        return f"!({_written(tree[1], names)})"
    path = tree[1]
    if kind == "text":
        _, _, folded, way, literal = tree
        subject = _subject(path, names, folded=folded)
        return f"{subject} {way} {_quoted(literal)}" if way in {"==", "!="} else f"{subject}.{way}({_quoted(literal)})"
    if kind == "in":
        return f"{_subject(path, names, folded=tree[2])} in [{', '.join(map(_quoted, tree[3]))}]"
    if kind == "among":
        return _written_among(tree, names)
    if kind == "has":
        return f"has({_joined(path if len(path) > 1 else ('payload', *path))})"
    if kind == "matches":
        return f"{_joined(path)}.matches({_quoted(tree[2])})"
    if kind == "number":
        return f"{_joined(path)} {tree[2]} {tree[3]}"
    if kind == "int":
        return f"int({_joined(path)}) {tree[2]} {tree[3]}"
    macro = "exists" if kind == "exists" else "all"
    return f"{_joined(path)}.{macro}(e, {_written(tree[2], names)})"


def _written_among(tree: Tree, names: Names) -> str:
    _, macro, path, folded, way, literals = tree
    source = names.get((LIST, *literals)) or _listed(literals)
    subject = _subject(path, names, folded=folded)
    test = {"in": f"x in {subject}", "==": f"{subject} == x"}.get(way, f"{subject}.{way}(x)")
    return f"{source}.{macro}(x, {test})" + (".size() > 0" if macro == "filter" else "")


def _listed(literals: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, literals))}]"


def _subject(path: Path, names: Names, *, folded: bool) -> str:
    if not folded:
        return _joined(path)
    return names.get(path) or f"{_joined(path)}.lowerAscii()"


def _joined(path: Path) -> str:
    return ".".join("e" if step == "@" else step for step in path)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _folded_paths(tree: Tree) -> dict[Path, int]:
    """Return how often each path of the event is seen in lower case."""
    found: dict[Path, int] = {}
    for one in _tests(tree):
        path, folded = (one[2], one[3]) if one[0] == "among" else (one[1], one[0] in {"text", "in"} and one[2])
        if folded and path[0] != "@":
            found[path] = found.get(path, 0) + 1
    return found


def _lists(tree: Tree) -> list[tuple[str, ...]]:
    """Return the lists of constants that macros go over."""
    return [tuple(one[5]) for one in _tests(tree) if one[0] == "among"]


def _tests(tree: Tree) -> Iterator[Tree]:
    """Return the parts of a tree that test something of the event."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if one[0] in {"all", "any"}:
            waiting += one[1]
        elif one[0] == "not":
            waiting.append(one[1])
        elif one[0] in {"exists", "every"}:
            waiting.append(one[2])
        else:
            yield one
