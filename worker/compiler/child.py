"""The compiler's process: reads requests from standard input, answers on standard output, ends with its worker.

It has a bound on its memory and a lower priority than the process that decides. Whatever a text makes of it, the worse
that can happen is that it dies, and its worker starts another.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import IO, Final, TypeVar

from domain.language import InvalidRuleError, Problem, check_filled, check_rule, check_template, image_of
from worker.compiler.frames import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    Answer,
    Check,
    CheckTemplate,
    Compile,
    Fill,
    Reply,
    Request,
    decode_request,
    encode,
)

ADDRESS_SPACE_BYTES_MAX: Final = 1024 * 1024 * 1024
NICENESS: Final = 5

_Asked = TypeVar("_Asked")


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    while True:
        head = requests.read(LENGTH_BYTES)
        length = int.from_bytes(head, "big")
        if len(head) < LENGTH_BYTES or length > FRAME_BYTES_MAX:
            return
        body = requests.read(length)
        if len(body) < length:
            return
        replies.write(encode(answer(decode_request(body))))
        replies.flush()


def answer(request: Request) -> Reply:
    """Do what is asked with each text of a request."""
    match request:
        case Check(sources):
            return [_within_memory(check_rule, source) for source in sources]
        case Compile(sources):
            return [_within_memory(_compiled, source) for source in sources]
        case CheckTemplate():
            return [_within_memory(_checked_template, request)]
        case Fill(source, rows):
            return [_within_memory(partial(_filled, source), row) for row in rows]


def _compiled(source: str) -> Answer:
    try:
        return image_of(source)
    except InvalidRuleError as error:
        return list(error.problems)


def _checked_template(request: CheckTemplate) -> Answer:
    problems = check_template(request.source, request.types)
    if request.defaults is None or _has_errors(problems):
        return problems
    filled = check_filled(request.source, request.defaults)[1]
    return filled if _has_errors(filled) else problems


def _filled(source: str, literals: dict[str, str]) -> Answer:
    text, problems = check_filled(source, literals)
    return problems if _has_errors(problems) else text


def _has_errors(problems: list[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _within_memory(work: Callable[[_Asked], Answer], asked: _Asked) -> Answer:
    try:
        return work(asked)
    except MemoryError:
        return [too_costly()]


def too_costly() -> Problem:
    """Return the problem of a text that takes more than the compiler may use."""
    hint = "split it into several rules"
    return Problem("too-costly", "the rule takes too much time or memory to compile", 1, 1, hint)


def main() -> None:
    """Be a compiler for the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the worker decides when to end
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))
    os.nice(NICENESS)
    gc.freeze()  # the language's own tables and code live to the end: the collector need not look at them again
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
