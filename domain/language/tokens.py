"""Text to tokens, in one pass, by one regular expression.

A statement word is a keyword only where an expression or a statement begins; after a dot it is a name. ``to`` is a word
of its own only after an operand. The words after ``on`` are fact types, one token each.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

from domain.language.limits import LITERAL_DIGITS_MAX, NESTING_MAX, OPERATORS_MAX, TOKENS_MAX
from domain.language.problems import Problem

KEYWORDS: Final = frozenset({"on", "let", "when", "then", "else", "set", "add", "append", "emit", "stop", "table"})
RESERVED: Final = frozenset(
    {
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip


class Token:
    """A token; ``start`` and ``end`` are offsets in code points. The other fields are what the parser asks for."""

    __slots__ = ("end", "start", "type", "value")
    line = column = end_line = end_column = start_pos = end_pos = 0

    def __init__(self, kind: str, value: Any, start: int, end: int) -> None:
        self.type = kind
        self.value = value
        self.start = start
        self.end = end


class Positions:
    """Lines and columns, from 1, for offsets of one source."""

    __slots__ = ("length", "starts")

    def __init__(self, source: str) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", source))]
        self.length = len(source)

    def at(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of an offset."""
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            if self.starts[middle] <= offset:
                low = middle
            else:
                high = middle
        return low + 1, offset - self.starts[low] + 1

    def problem(self, code: str, message: str, span: tuple[int, int], hint: str | None = None) -> Problem:
        """Return an error at a span of the source; the end is given when it is on the same line."""
        return self._problem(code, message, span, hint, warning=False)

    def warning(self, code: str, message: str, span: tuple[int, int], hint: str | None = None) -> Problem:
        """Return a warning at a span of the source."""
        return self._problem(code, message, span, hint, warning=True)

    def _problem(self, code: str, message: str, span: tuple[int, int], hint: str | None, *, warning: bool) -> Problem:
        line, column = self.at(span[0])
        end_line, end_column = self.at(max(span[0], span[1]))
        return Problem(
            code,
            message,
            line,
            column,
            hint,
            "warning" if warning else "error",
            end_column if end_line == line and end_column > column else None,
        )


_SCANNER: Final = re.compile(
    r"""
    (?P<skip>[ \t\r\n\f]+|//[^\n]*)
  | (?P<string>(?:[rR]|[bB][rR]?)?(?:\"\"\"|'''|\"|'))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
  | (?P<int>0[xX][0-9a-fA-F]+|[0-9]+)(?P<unsigned>[uU])?
  | (?P<operator>\.\.|&&|\|\||==|!=|<=|>=|\.\?|[-+*/%<>!?:.,()\[\]{}=|])
  | `(?P<quoted>[a-zA-Z0-9_.\-/\ ]+)`
  | \$\{(?P<parameter>[A-Za-z_][A-Za-z0-9_]*)\}
    """,
    re.VERBOSE,
)
# The rest of a string after its opening quotes, by quotes and rawness.
_STRING_BODY: Final = {
    ('"', False): re.compile(r'[^"\\\r\n]*(?:\\[^\r\n][^"\\\r\n]*)*"'),
    ("'", False): re.compile(r"[^'\\\r\n]*(?:\\[^\r\n][^'\\\r\n]*)*'"),
    ('"', True): re.compile(r'[^"\r\n]*"'),
    ("'", True): re.compile(r"[^'\r\n]*'"),
    ('"""', False): re.compile(r'[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""', re.DOTALL),
    ("'''", False): re.compile(r"[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''", re.DOTALL),
    ('"""', True): re.compile(r'[^"]*(?:"(?!"")[^"]*)*"""'),
    ("'''", True): re.compile(r"[^']*(?:'(?!'')[^']*)*'''"),
}
# After \u come four digits, or the two halves of a surrogate pair.
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})"
    r"|u([dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))",
    re.DOTALL,
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FACT_TYPE: Final = re.compile(r"[^\s,/|\"'()\[\]{}]+")
_EFFECT_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_OPERATORS: Final = {
    "&&": "ANDAND", "||": "OROR", "==": "EQ", "!=": "NE", "<=": "LE", ">=": "GE", "<": "LT", ">": "GT",
    ".?": "OPTDOT", "..": "DOTDOT", "-": "MINUS", "+": "PLUS", "*": "STAR", "/": "SLASH", "%": "PERCENT", "!": "NOT",
    "?": "QUESTION", ":": "COLON", ".": "DOT", ",": "COMMA", "(": "LPAR", ")": "RPAR", "[": "LSQB", "]": "RSQB",
    "{": "LBRACE", "}": "RBRACE", "=": "ASSIGN", "|": "BAR",
}  # fmt: skip
_WORDS: Final = {"true": "TRUE", "false": "FALSE", "null": "NULL", "in": "IN"}
_OPERAND_ENDS: Final = frozenset(
    {"NAME", "FIELD", "TRUE", "FALSE", "NULL", "INT", "UINT", "FLOAT", "STRING", "BYTES", "RPAR", "RSQB", "RBRACE",
     "PARAMETER", "QUOTED"}
)  # fmt: skip

_COSTLY: Final = frozenset({"ANDAND", "OROR", "QUESTION", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT"})


class LiteralError(ValueError):
    """A literal that is not well formed, with where."""

    def __init__(self, message: str, start: int, end: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint


def scan(  # noqa: PLR0915 - one hot loop
    source: str, positions: Positions, problems: list[Problem], *, keywords: frozenset[str] = KEYWORDS
) -> list[Token]:
    """Return the tokens of a source; what is no token is told to ``problems`` and stays in the list as BAD.

    Of an expression alone, no word is a keyword.
    """
    tokens: list[Token] = []
    add = tokens.append
    match_at = _SCANNER.match
    offset, length = 0, len(source)
    previous = ""
    depth = 0
    in_table = False
    while offset < length and len(tokens) <= TOKENS_MAX:
        match = match_at(source, offset)
        if match is None:
            add(Token("BAD", source[offset], offset, offset + 1))
            problems.append(_stray(source, offset, positions))
            offset += 1
            previous = "BAD"
            continue
        kind = match.lastgroup
        end = match.end()
        if kind == "skip":
            if in_table and source[offset] != "/" and "\n" in match.group():
                depth = 0
                if previous != "EOL":
                    previous = "EOL"
                    add(Token("EOL", "the end of the line", offset, offset))
            offset = end
            continue
        if kind == "name":
            word = match.group()
            if previous in {"DOT", "OPTDOT"}:
                previous = "FIELD"
            elif word in keywords:
                previous = word.upper()
                add(Token(previous, word, offset, end))
                offset = end
                if word == "on":
                    offset = _scan_types(source, end, tokens)
                elif word == "emit":
                    offset = _scan_effect(source, end, tokens)
                elif word == "table":
                    in_table = True
                continue
            elif word in _WORDS:
                previous = _WORDS[word]
            elif word == "to" and keywords and previous in _OPERAND_ENDS:
                previous = "TO"
            else:
                previous = "NAME"
            add(Token(previous, word, offset, end))
        elif kind == "operator":
            text = match.group()
            if text == "||" and in_table and not depth:
                # In a row these are two bars: the cell between them is empty.
                text, end = "|", offset + 1
            previous = _OPERATORS[text]
            if text in "([{":
                depth += 1
                if depth > NESTING_MAX * 4:
                    problems.append(positions.problem("too-deep", "brackets are nested too deeply", (offset, end)))
                    return tokens
            elif text in ")]}" and depth:
                depth -= 1
            add(Token(previous, text, offset, end))
        else:
            previous, end = _scan_literal(source, match, positions, problems, tokens)
        offset = end
    if len(tokens) > TOKENS_MAX:
        message = f"the rule has more than {TOKENS_MAX} words and signs"
        problems.append(positions.problem("too-long", message, (offset, offset)))
    elif len(tokens) > OPERATORS_MAX:
        _require_few_operators(tokens, positions, problems)
    return tokens


def _require_few_operators(tokens: list[Token], positions: Positions, problems: list[Problem]) -> None:
    """Refuse at once what would be found to be too much code only after it was checked and written."""
    operators = [
        token
        for before, token in pairwise(tokens)
        if token.type in _COSTLY and (token.type != "MINUS" or before.type in _OPERAND_ENDS)
    ]
    if len(operators) > OPERATORS_MAX:
        first = operators[OPERATORS_MAX]
        message = f"the rule has more than {OPERATORS_MAX} logical and arithmetic operators"
        span = (first.start, first.end)
        problems.append(positions.problem("too-costly", message, span, "split it into several rules"))


def _stray(source: str, offset: int, positions: Positions) -> Problem:
    sign = source[offset]
    hint = None
    if sign == "&":
        hint = "logical and is `&&`"
    elif sign == "$":
        hint = "a template's parameter is written `${name}`"
    elif sign == ";":
        hint = "statements need no `;` between them"
    elif sign == "#":
        hint = "a comment begins with `//`"
    shown = sign if sign.isprintable() else f"U+{ord(sign):04X}"
    return positions.problem("syntax", f"unexpected character `{shown}`", (offset, offset + 1), hint)


def _scan_types(source: str, offset: int, tokens: list[Token]) -> int:
    """Scan the fact types after ``on``: words with commas between them."""
    match_at = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*)*").match
    expects = True
    while True:
        blank = match_at(source, offset)
        start = blank.end() if blank else offset
        if expects:
            word = _FACT_TYPE.match(source, start)
            if word is None:
                return start
            tokens.append(Token("FACT_TYPE", word.group(), start, word.end()))
            offset, expects = word.end(), False
        elif source.startswith(",", start):
            tokens.append(Token("COMMA", ",", start, start + 1))
            offset, expects = start + 1, True
        else:
            return offset


def _scan_effect(source: str, offset: int, tokens: list[Token]) -> int:
    """Scan the effect's name after ``emit``."""
    blank = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*)*").match(source, offset)
    start = blank.end() if blank else offset
    word = _EFFECT_NAME.match(source, start)
    if word is None:
        return start
    tokens.append(Token("EFFECT", word.group(), start, word.end()))
    return word.end()


def _scan_literal(
    source: str, match: re.Match[str], positions: Positions, problems: list[Problem], tokens: list[Token]
) -> tuple[str, int]:
    start, end = match.span()
    kind = match.lastgroup
    value: Any
    try:
        if kind == "string":
            kind, value, end = _read_string(source, match)
        elif kind == "float":
            kind, value = "FLOAT", float(_digits(match.group(), start, end))
        elif kind in {"int", "unsigned"}:
            digits = _digits(match.group("int"), start, end)
            value = int(digits, 16) if digits[:2] in {"0x", "0X"} else int(digits)
            kind = "INT" if kind == "int" else "UINT"
        elif kind == "quoted":
            kind, value = "QUOTED", match.group("quoted")
        else:
            kind, value = "PARAMETER", match.group("parameter")
    except LiteralError as error:
        problems.append(positions.problem("syntax", error.message, (error.start, error.end), error.hint))
        kind, value, end = "STRING", "", max(error.end, end) if error.end > match.end() else end
    tokens.append(Token(kind, value, start, end))
    return kind, end


def _digits(text: str, start: int, end: int) -> str:
    if len(text) > LITERAL_DIGITS_MAX:
        raise LiteralError(f"a number has at most {LITERAL_DIGITS_MAX} digits", start, end)
    return text


def _read_string(source: str, match: re.Match[str]) -> tuple[str, Any, int]:
    opening = match.group()
    quotes = opening.lstrip("rRbB")
    prefix = opening[: len(opening) - len(quotes)].lower()
    raw = "r" in prefix
    start, body_start = match.span()
    body = _STRING_BODY[quotes, raw].match(source, body_start)
    if body is None:
        line_end = source.find("\n", body_start)
        stop = len(source) if line_end < 0 or len(quotes) == 3 else line_end
        hint = None if len(quotes) == 3 else f"close it with {quotes} on the same line"
        raise LiteralError("the string is not closed", start, max(stop, body_start), hint)
    text = body.group()[: -len(quotes)]
    is_bytes = "b" in prefix
    if not raw and "\\" in text:
        return _unescape(text, body_start, body.end(), is_bytes=is_bytes)
    if is_bytes:
        return "BYTES", text.encode("utf-8", "surrogatepass"), body.end()
    return "STRING", text, body.end()


def _code_point(digits: str) -> int:
    """Return the code point that digits in base 16 stand for, or the two halves of a surrogate pair."""
    high, _, low = digits.partition("\\u")
    return int(high, 16) if not low else 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00


def _unescape(text: str, start: int, end: int, *, is_bytes: bool) -> tuple[str, Any, int]:
    parts: list[Any] = []
    offset = 0
    for match in _ESCAPE.finditer(text):
        plain = text[offset : match.start()]
        parts.append(plain.encode("utf-8", "surrogatepass") if is_bytes else plain)
        offset = match.end()
        simple, hexadecimal, short, long, octal, wrong = match.groups()
        span = (start + match.start(), start + match.end())
        if simple is not None:
            char = _SIMPLE.get(simple, simple)
            parts.append(char.encode() if is_bytes else char)
        elif hexadecimal is not None or octal is not None:
            code = int(hexadecimal, 16) if hexadecimal is not None else int(octal, 8)
            parts.append(bytes((code,)) if is_bytes else chr(code))
        elif wrong is not None:
            raise LiteralError(f"no escape `\\{wrong}`", *span, "a backslash is written `\\\\`")
        else:
            code = _code_point(short or long)
            if is_bytes:
                raise LiteralError("bytes have no \\u escapes", *span, "write the bytes with \\x")
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise LiteralError("the escape is not a Unicode code point", *span)
            parts.append(chr(code))
    rest = text[offset:]
    if is_bytes:
        return "BYTES", b"".join([*parts, rest.encode("utf-8", "surrogatepass")]), end
    return "STRING", "".join([*parts, rest]), end
