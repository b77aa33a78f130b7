"""Looking up what a fact has, where rules are filed under more paths than a fact has fields.

The paths are a tree, of which the parts are visited that the fact has too: by the fact's fields, or by the tree's where
those are fewer. No rule may be filed here that is found where its path is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.decisions.index.labels import Labels, distinct
from domain.decisions.index.table import Place, Table
from domain.decisions.index.writing import Walk, alike_of
from domain.language.demands import EACH_MAX, EACH_TEXT_MAX


@dataclass(slots=True)
class _Node:
    """A step that paths go on from: by field, or to each element; and what the value itself leads to."""

    fields: dict[str, _Node] = field(default_factory=dict)
    each: _Node | None = None
    finders: list[Callable[[Any], Any]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    everyone: Labels = ()  # at ``each``: all rules below, for what is too large to be looked at


def walk_function(tables: Mapping[Place, Table]) -> Walk:
    """Return the function that adds the rules which a fact leads to, given the tables that they are filed in."""
    root = _Node()
    for (path, _), table in tables.items():
        node = root
        for step in path:
            if step is None:
                node.each = node.each or _Node()
                node = node.each
            else:
                node = node.fields.setdefault(step, _Node())
        node.tables.append(table)
    _finish(root)
    fields = root.fields

    def walk(fact: Mapping[str, Any], found: list[Any]) -> None:
        _visit_fields(fields, fact, found)

    return walk


def value_finder(table: Table) -> Callable[[Any], Any]:
    """Return the function that gives the rules of a value."""
    alike, unknown = alike_of(table), table.unknown
    text = table.text_finder() if table.tells_texts_apart else None
    number = table.number_finder() if table.numbers.tells_apart else None
    true, false = table.true, table.false

    def find(value: Any) -> Any:
        kind = type(value)
        if kind is str and text is not None:
            return text(value)
        if number is not None and (kind is float or kind is int):
            return number(value)
        if kind is bool:
            return true if value else false
        return alike.get(kind, unknown)

    return find


def _finish(node: _Node) -> list[Table]:
    """Make the finders of a node and of those below; returns all of their tables."""
    below = [table for inner in node.fields.values() for table in _finish(inner)]
    if node.each is not None:
        inner = _finish(node.each)
        node.each.everyone = distinct(label for table in inner for label in table.labels)
        below += inner
    node.finders = [value_finder(table) for table in node.tables]
    tables, node.tables = node.tables, []
    return [*tables, *below]


def _visit_fields(fields: dict[str, _Node], holder: Mapping[str, Any], found: list[Any]) -> None:
    if len(holder) <= len(fields):
        for name, value in holder.items():
            if name in fields:
                _visit(fields[name], value, found)
    else:
        for name, node in fields.items():
            if name in holder:
                _visit(node, holder[name], found)


def _visit(node: _Node, value: Any, found: list[Any]) -> None:
    for find in node.finders:
        found += find(value)
    if node.fields and type(value) is dict:
        _visit_fields(node.fields, value, found)
    each = node.each
    if each is None:
        return
    if type(value) is list or type(value) is dict:
        if len(value) > EACH_MAX:
            found += each.everyone
        else:
            for element in value:
                _visit(each, element, found)
    elif type(value) is str and len(value) > EACH_TEXT_MAX:
        found += each.everyone
