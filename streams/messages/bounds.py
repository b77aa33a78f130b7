"""How much a command, a query and an answer may hold, in one place for who checks it and for the API document.

What a rule or a template may hold is the domain's (``domain.rules.content``, ``domain.templates.parameters``).
"""

from __future__ import annotations

from typing import Final

# Of a comment of an approval and of the reason of a rejection, in characters.
REASON_LENGTH_MAX: Final = 500
# Rows of values in one command, and problems of them that one error tells.
ROWS_MAX: Final = 500
PROBLEMS_SHOWN_MAX: Final = 200
# Rules that lag behind a template, as the answer to its update tells them.
LAGGING_SHOWN_MAX: Final = 100

# Items of a page, items before it, and its bytes: a page ends early rather than be larger.
PAGE_SIZE_MAX: Final = 500
PAGE_OFFSET_MAX: Final = 10_000_000
PAGE_BYTES_MAX: Final = 512 * 1024
# What an offset into decisions passes by is read: behind this many, another time is asked for.
DECISIONS_OFFSET_MAX: Final = 1_000_000

# Of one simulation: facts, bytes of them together, rules.
SIMULATED_FACTS_MAX: Final = 100
SIMULATED_FACTS_BYTES_MAX: Final = 512 * 1024
SIMULATED_RULES_MAX: Final = 100

VERSION_MAX: Final = 2**31 - 1
