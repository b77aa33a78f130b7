"""Every bound of the language. A rule past one is refused when it is written, or is a fault when it runs."""

from __future__ import annotations

from typing import Final

# What a rule's text may hold.
SOURCE_CODE_POINTS_MAX: Final = 200_000
TOKENS_MAX: Final = 20_000
OPERATORS_MAX: Final = 3_000  # logical and arithmetic ones and `?:`, which become the most code
CODE_CHARACTERS_MAX: Final = 1_250_000  # of the Python text; about 150 bytes of memory each while it is compiled
NESTING_MAX: Final = 100  # brackets, calls, members and macros inside one another; chains of one operator are flat
STATEMENTS_MAX: Final = 1_000
LETS_MAX: Final = 200
TABLE_ROWS_MAX: Final = 2_000
TABLE_COLUMNS_MAX: Final = 64
LITERAL_DIGITS_MAX: Final = 400
PROBLEMS_MAX: Final = 100
MACRO_NESTING_MAX: Final = 8
PATTERN_CODE_POINTS_MAX: Final = 1_000
PATTERNS_MAX: Final = 500  # different regular expressions in one rule; each may hold 100 KB

PARAMETER_NAME_LENGTH_MAX: Final = 64
PARAMETER_LIST_ITEMS_MAX: Final = 1_000  # of a template's parameter that is a list

# What an evaluation may use.
STEPS_MAX: Final = 100_000  # elements visited by macros and list functions, over one rule and one fact
UNMETERED_SEARCHES_MAX: Final = 50_000  # of strings in macros over constants; a string in lower case is the unit
STRING_CODE_POINTS_MAX: Final = 1_000_000  # of a string or bytes that a rule makes
LIST_ITEMS_MAX: Final = 100_000  # of a list or map that a rule makes
COMPARED_ITEMS_MAX: Final = 1_000_000  # elements of lists and maps, however nested, that one `==` compares
OUTPUT_ITEMS_MAX: Final = 100_000  # elements of lists and maps, however nested, in one value of a decision
REGEX_MEMORY_BYTES_MAX: Final = 1 << 20

# What an explanation shows.
EXPLAINED_PARTS_MAX: Final = 2_000  # the outermost first
EXPLAINED_DEPTH_MAX: Final = 100  # parts inside one another, those of a `let` included

# What a decimal may be (IEEE 754 decimal128).
DECIMAL_DIGITS: Final = 34
DECIMAL_EXPONENT_MAX: Final = 6144
DECIMAL_EXPONENT_MIN: Final = -6143

assert SOURCE_CODE_POINTS_MAX >= 100_000, "generated rules of 100,000 code points are real"
assert UNMETERED_SEARCHES_MAX >= 5 * (TOKENS_MAX // 2), "each text of a list may be looked for in a lowered string"
assert NESTING_MAX * 6 < 1_000, "the deepest tree must fit Python's recursion limit"
