"""Labels: what an index knows its rules by. They are numbers whose order is that of evaluation."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

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


def distinct(labels: Iterable[Label]) -> Labels:
    """Return labels, each once, in the order in which they came."""
    return tuple(dict.fromkeys(labels))
