"""Merging what rules contribute into one output: ``set`` by the first writer, ``add`` by sum, ``append`` in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from domain.language import AdditionError, MergeKind, Path, add_values, to_json


class Addition(NamedTuple):
    """An ``add`` term that was left out of its sum, and why."""

    contributor: Any
    code: str
    message: str


class Merge:
    """Collects contributions, given in order of priority then name, into nested output.

    Paths that clash (one set below another, or kinds mixed on one path) are refused when rules are activated; should
    they meet here all the same, the earlier contribution stands.
    """

    __slots__ = ("_kinds", "_values", "left_out")

    def __init__(self) -> None:
        self._kinds: dict[Path, MergeKind] = {}
        self._values: dict[Path, Any] = {}
        self.left_out: list[Addition] = []

    def contribute(self, kind: MergeKind, path: Path, value: Any, contributor: Any = None) -> None:
        """Take one contribution into account; ``contributor`` is named should an ``add`` term be left out."""
        values = self._values
        if path not in values:
            self._kinds[path] = kind
            values[path] = [value] if kind is MergeKind.APPEND else value
        elif kind is MergeKind.SET or kind is not self._kinds[path]:
            return
        elif kind is MergeKind.APPEND:
            values[path].append(value)
        else:
            try:
                values[path] = add_values(values[path], value)
            except AdditionError as error:
                self.left_out.append(Addition(contributor, error.code, error.message))

    def nested(self) -> dict[str, Any]:
        """Return the merged values as the rules see them under ``decision``."""
        return self._nest(lambda value: value)

    def output(self) -> dict[str, Any]:
        """Return the merged values as JSON data; raises ValueError for a value that has no JSON form."""
        return self._nest(to_json)

    def _nest(self, form: Callable[[Any], Any]) -> dict[str, Any]:
        root: dict[str, Any] = {}
        taken: set[int] = {id(root)}  # only dictionaries made here are written into, never a rule's own value
        for path, value in self._values.items():
            place: Any = root
            for name in path[:-1]:
                below = place.get(name)
                if below is None and name not in place:
                    below = place[name] = {}
                    taken.add(id(below))
                elif id(below) not in taken:
                    break
                place = below
            else:
                place.setdefault(path[-1], form(value))
        return root
