"""Labels: what an index knows its rules by. They are numbers whose order is that of evaluation."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

Label = float
Labels = tuple[Label, ...]
_Key = TypeVar("_Key", bound=Hashable)


class Gathered(dict[_Key, Labels]):
    """Labels by key, put together one by one; equal tuples of one label are one object, as most keys have one."""

    def __init__(self) -> None:
        super().__init__()
        self._more: dict[_Key, list[Label]] = {}
        self._single: dict[Label, Labels] = {}

    def put(self, key: _Key, label: Label) -> None:
        """File a label under a key."""
        if key not in self:
            self[key] = self._single.get(label) or self._single.setdefault(label, (label,))
        elif key in self._more:
            self._more[key].append(label)
        else:
            self._more[key] = [*self[key], label]

    def done(self) -> dict[_Key, Labels]:
        """Return the labels by key."""
        for key, labels in self._more.items():
            self[key] = tuple(dict.fromkeys(labels))
        return dict(self)


def unwrapped(by_key: Mapping[_Key, Labels]) -> dict[_Key, Label | Labels]:
    """Return labels by string or number as ``anew`` does, where there is one without a tuple around it."""
    return {key: alone(labels) for key, labels in anew(by_key).items()}


def anew(by_key: Mapping[_Key, Labels]) -> dict[_Key, Labels]:
    """Return labels by string or number, with keys that lie near each other in memory, not where rules were read."""
    return {_anew(key): labels for key, labels in by_key.items()}


def alone(labels: Labels) -> Label | Labels:
    """Return one label without the tuple around it, and any others as they are."""
    return labels[0] if len(labels) == 1 else labels


def _anew(key: Any) -> Any:
    return (key + " ")[:-1] if type(key) is str else key + 0


def distinct(labels: Iterable[Label]) -> Labels:
    """Return labels, each once, in the order in which they came."""
    return tuple(dict.fromkeys(labels))
