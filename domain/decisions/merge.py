"""Merging what rules contribute into one output: ``set`` by the first writer, ``add`` by sum, ``append`` in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from domain.language import AdditionError, Contribution, MergeKind, Path, add_values, to_json

# A rule's part of an output: path, JSON data (of what is appended a tuple), kind, and so on for the next path; no two
# paths are the same. Flat, for where rules are many each object is one more to be fetched from memory.
Fields = tuple[Any, ...]

_SET: Final = MergeKind.SET
_ADD: Final = MergeKind.ADD
_APPEND: Final = MergeKind.APPEND
_PLAIN: Final = frozenset({int, float})
_SMALL: Final = 2**53  # sums below it are the same in all of the language's numbers


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

    def take(self, contributions: Sequence[Contribution], contributor: Any = None) -> None:
        """Take a rule's contributions into account, in order; ``contributor`` is named for an ``add`` term left out."""
        values, kinds = self._values, self._kinds
        for kind, path, value in contributions:
            if path not in values:
                kinds[path] = kind
                values[path] = [value] if kind is _APPEND else value
            elif kind is _SET or kind is not kinds[path]:
                continue
            elif kind is _APPEND:
                values[path].append(value)
            else:
                try:
                    values[path] = add_values(values[path], value)
                except AdditionError as error:
                    self.left_out.append(Addition(contributor, error.code, error.message))

    def nested(self) -> dict[str, Any]:
        """Return the merged values as the rules see them under ``decision``."""
        return _nest(self._values, _as_it_is)

    def output(self) -> dict[str, Any]:
        """Return the merged values as JSON data; raises ValueError for a value that has no JSON form.

        Each value is bounded by itself; a list that is appended to may be longer than one value may be.
        """
        kinds = self._kinds
        values = {
            path: [part for item in value for part in to_json([item])] if kinds[path] is _APPEND else to_json(value)
            for path, value in self._values.items()
        }
        return _nest(values, _as_it_is)


def output_of(contributions: Sequence[Contribution]) -> dict[str, Any]:
    """Return what one rule's contributions merge to, as JSON data; raises ValueError as ``Merge.output`` does."""
    merge = Merge()
    merge.take(contributions)
    return merge.output()


def fields_of(contributions: Sequence[Contribution]) -> Fields | None:
    """Return contributions of which no two are on one path, as JSON data; None where some are to be merged.

    Raises ValueError for a value that has no JSON form.
    """
    if len(contributions) == 1:  # what most rules have: the same, sooner
        ((kind, path, value),) = contributions
        return path, tuple(to_json([value])) if kind is _APPEND else to_json(value), kind
    fields: list[Any] = []
    for kind, path, value in contributions:
        fields += (path, tuple(to_json([value])) if kind is _APPEND else to_json(value), kind)
    return tuple(fields) if len(set(fields[::3])) == len(contributions) else None


def joined(fields: Sequence[Any]) -> dict[str, Any] | None:
    """Return the output of several rules' fields, one after the other in order of priority then name.

    None where there is more to merge than lists that are appended to, sums of small plain numbers, and what is set
    after others have: where a path is below another, for one.
    """
    root: dict[str, Any] = {}
    whole: list[str] = []  # top-level names that a rule has set, whatever is below them
    lists: dict[Path, list[Any]] = {}
    sums: set[Path] = set()
    parts = iter(fields)
    for path, value, kind in zip(parts, parts, parts, strict=True):
        if kind is _APPEND:
            if path in lists:
                lists[path] += value
                continue
            value = lists[path] = [*value]  # noqa: PLW2901 - a list of its own, as others may be appended
        elif kind is _ADD and path in sums:
            if not _added(root, path, value):
                return None
            continue
        name = path[0]
        if name not in root:
            if len(path) == 1:
                root[name] = value
                whole.append(name)
            elif len(path) == 2:
                root[name] = {path[1]: value}
            else:
                return None
        elif (name in whole) is not (len(path) == 1) or len(path) > 2:
            return None
        elif len(path) == 2 and path[1] not in root[name]:
            root[name][path[1]] = value
        elif kind is _APPEND:
            return None
        else:
            continue  # the first stands
        if kind is _ADD:
            sums.add(path)
    return root


def _added(root: dict[str, Any], path: Path, term: Any) -> bool:
    """Add a term to the number at a path of one or two names; says whether both are numbers that Python adds alike."""
    place, last = (root, path[0]) if len(path) == 1 else (root[path[0]], path[1])
    before = place[last]
    if type(before) not in _PLAIN or type(term) not in _PLAIN:
        return False
    total = before + term
    if not -_SMALL < total < _SMALL:
        return False
    place[last] = total
    return True


def _nest(values: Mapping[Path, Any], form: Callable[[Any], Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    made: set[int] | None = None  # only dictionaries made here are written into, never a rule's own value
    for path, value in values.items():
        if len(path) == 1:
            if path[0] not in root:
                root[path[0]] = form(value)
            continue
        if made is None:
            made = set()
        place: Any = root
        for name in path[:-1]:
            below = place.get(name)
            if below is None and name not in place:
                below = place[name] = {}
                made.add(id(below))
            elif id(below) not in made:
                break
            place = below
        else:
            if path[-1] not in place:
                place[path[-1]] = form(value)
    return root


def nested(fields: Fields) -> dict[str, Any]:
    """Return one rule's fields as output."""
    if len(fields) == 3:
        path, value, kind = fields
        if kind is _APPEND:
            value = [*value]
        for name in reversed(path):
            value = {name: value}
        return value  # type: ignore[no-any-return]  # a path has a name at least
    parts = iter(fields)
    values = {
        path: [*value] if kind is _APPEND else value for path, value, kind in zip(parts, parts, parts, strict=True)
    }
    return _nest(values, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value
