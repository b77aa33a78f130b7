"""Explanations as people read them, on the command line."""

from __future__ import annotations

import re
from typing import Final

from streams.messages.explanations import ExplanationBody

# What files and servers sent is in the text: no control character of theirs may reach a terminal.
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def explanation_text(body: ExplanationBody, indent: str = "") -> str:
    """Return an explanation as indented lines: how the rule stood, then its condition's tree."""
    place = f" (version {body.version}, {body.priority})" if body.name is not None else ""
    head = f"{body.name or 'rule'}{place}: {body.status}"
    if body.rows is not None:
        head += f", {'row' if len(body.rows) == 1 else 'rows'} {', '.join(map(str, body.rows))}"
    lines = [head if body.reason is None else f"{head} ({body.reason})"]
    if body.status != "fault":  # else the reason says it
        lines.extend(f"  fault: {fault.message}" for fault in body.faults)
    if body.text is not None:
        lines.extend(f"  {line}" for line in body.text.split("\n"))
    return "\n".join(f"{indent}{_CONTROL.sub(chr(0xFFFD), line)}" for line in lines)
