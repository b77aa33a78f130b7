"""The document as text: JSON or YAML, with the same bytes whenever it is made of the same data."""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

WIDTH: Final = 120


class _Dumper(yaml.SafeDumper):
    """Writes what stands in several places in each of them: readers of the document follow `$ref`, not anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # its signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # as above
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_json(document: dict[str, Any]) -> str:
    """Write the document as JSON that people can read."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_yaml(document: dict[str, Any]) -> str:
    """Write the document as YAML."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
