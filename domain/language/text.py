"""The text of Python functions under construction: lines, blocks, names, constants, and what is compiled of them.

Every name in the text is made here and every constant is passed in or written by ``repr``, so nothing of a rule's own
text can become code. What is passed in is not in the text: rules that ask for other values in the same way have one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any, Final, NamedTuple

from domain.language.limits import CODE_CHARACTERS_MAX
from domain.language.reach import GLOBALS, NAMES

CONSTANTS_PASSED_MAX: Final = 64  # literals of one rule that are passed in; more are written into its text
_SHARED_MAX: Final = 8_192  # characters of a text whose code is kept for other rules that come to the same text
_SHARED_TEXTS_MAX: Final = 4_096


def code_of(text: str) -> CodeType:
    """Compile what an emitter wrote; rules that differ in their constants alone share their code."""
    return _shared_code(text) if len(text) <= _SHARED_MAX else _code(text)


def _code(text: str) -> CodeType:
    return compile(text, "<rule>", "exec")


_shared_code: Final = lru_cache(maxsize=_SHARED_TEXTS_MAX)(_code)


class TooCostlyError(Exception):
    """The rule would become more code than a rule may."""


class TextWriter:
    """Writes the functions of one rule, line by line; ``uses_state`` tells whether the last one needs the state."""

    def __init__(self) -> None:
        self.functions: list[list[str]] = []
        self.constants: list[Any] = []
        self.uses_state = False
        self.written = 0
        self._constant_names: dict[int, str] = {}
        self._lines: list[str] = []
        self._indent = 1
        self._blocks = 0
        self._count = 0
        self._locals: tuple[str, ...] = ()

    def _write(self, text: str) -> None:
        self.written += len(text) + self._indent
        if self.written > CODE_CHARACTERS_MAX:
            raise TooCostlyError
        self._lines.append(" " * self._indent + text)

    @contextmanager
    def _block(self, head: str, *, nests: bool = False) -> Iterator[None]:
        self._write(head)
        self._indent += 1
        self._blocks += nests
        try:
            yield
        finally:
            self._indent -= 1
            self._blocks -= nests

    def _temporary(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def function(self, name: str, parameters: str | None, write: Callable[[], None]) -> None:
        """Write a function of its own; without ``parameters`` it takes the state only if it needs it."""
        outer = self._lines, self._indent, self._blocks, self._locals
        self._lines, self._indent, self._blocks = [], 2, 0
        write()
        if parameters is None:
            parameters = "p, f, d, s" if self.uses_state else "p, f, d, k=()"
        self.functions.append([f" def {name}({parameters}):", *self._lines])
        self._lines, self._indent, self._blocks, self._locals = outer

    def _captured(self, write: Callable[[], str]) -> tuple[list[str], str]:
        outer = self._lines
        self._lines = []
        text = write()
        lines, self._lines = self._lines, outer
        return lines, text

    def _constant(self, value: Any) -> str:
        name = self._constant_names.get(id(value))
        if name is None:
            name = f"k{len(self.constants)}"
            self._constant_names[id(value)] = name
            self.constants.append(value)
        return name

    def _literal(self, value: Any) -> str:
        """Return the text of a string, bytes or number: the name that it is passed in by, while there are few."""
        if len(self.constants) < CONSTANTS_PASSED_MAX:
            self.constants.append(value)
            return f"k{len(self.constants) - 1}"
        return repr(value) if type(value) in {str, bytes} or str(value)[0] != "-" else f"({value!r})"

    def _callable(self, call: Callable[..., Any]) -> str:
        return NAMES.get(call) or self._constant(call)

    def source(self, results: list[str]) -> str:
        """Return the module's text: a function ``make`` that takes the constants and returns the named functions."""
        head = f"def make({', '.join(f'k{number}' for number in range(len(self.constants)))}):"
        lines = [line for function in self.functions for line in function]
        return "\n".join([head, *lines, f" return {', '.join(results)},", ""])

    def functions_of(self, names: list[str], code: CodeType | None = None) -> dict[str, Callable[..., Any]]:
        """Return the named functions; ``code`` is what ``source`` gives for these names, compiled."""
        if not names:
            return {}
        local: dict[str, Any] = {}
        exec(code or code_of(self.source(names)), GLOBALS, local)  # noqa: S102  # nosec B102  # text of our own making
        return dict(zip(names, local["make"](*self.constants), strict=True))

    # Functions that rules of the same text share, each with its constants as the last argument

    def shared_source(self) -> str:
        """Return the module's text where each function is by itself and is given its constants."""
        return self._shape().text

    def shared_functions(self, names: list[str], code: CodeType | None = None) -> dict[str, SharedFunction]:
        """Return the named functions and their constants; ``code`` is what ``shared_source`` gives, compiled."""
        shape = self._shape()
        if code is not None or len(shape.text) > _SHARED_MAX:
            made = _made(code or _code(shape.text))
        else:
            made = _made_once(shape.text)
        return {
            name: (made[name], tuple([self.constants[number] for number in numbers]))
            for name, numbers in zip(names, shape.constants, strict=True)
        }

    def _shape(self) -> _Shape:
        text = _BETWEEN.join(["\n".join(function) for function in self.functions])
        return _shape_once(text) if len(text) <= _SHARED_MAX else _shape(text)


SharedFunction = tuple[Callable[..., Any], tuple[Any, ...]]
_BETWEEN: Final = "\n\n"
_CONSTANT: Final = re.compile(r"\bk([0-9]+)\b")
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class _Shape(NamedTuple):
    """A module's text, and the numbers of the constants that each of its functions is given."""

    text: str
    constants: list[list[int]]


def _shape(functions: str) -> _Shape:
    lines: list[str] = []
    constants: list[list[int]] = []
    for function in functions.split(_BETWEEN):
        head, *body = function.split("\n")
        named = _CONSTANT.findall(_STRING.sub("", "\n".join(body)))
        numbers = [int(number) for number in dict.fromkeys(named)]
        constants.append(numbers)
        given = "".join(f"k{number}, " for number in numbers)
        lines += [head[1:], *([f"  {given}= k"] if numbers else []), *body]
    return _Shape("\n".join([*lines, ""]), constants)


def _made(code: CodeType) -> dict[str, Callable[..., Any]]:
    local: dict[str, Any] = {}
    exec(code, GLOBALS, local)  # noqa: S102  # nosec B102  # text of our own making
    return local


_shape_once: Final = lru_cache(maxsize=_SHARED_TEXTS_MAX)(_shape)


@lru_cache(maxsize=_SHARED_TEXTS_MAX)
def _made_once(text: str) -> dict[str, Callable[..., Any]]:
    return _made(_code(text))
