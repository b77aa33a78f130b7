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
from typing import IO, Final

from domain.language import InvalidRuleError, Problem, RuleImage, check_rule, image_of
from worker.compiler.frames import FRAME_BYTES_MAX, LENGTH_BYTES, Check, Reply, Request, decode_request, encode

ADDRESS_SPACE_BYTES_MAX: Final = 1024 * 1024 * 1024
NICENESS: Final = 5


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
    """Check or compile each text of a request."""
    work = _checked if isinstance(request, Check) else _compiled
    return [_within_memory(work, source) for source in request.sources]


def _checked(source: str) -> RuleImage | list[Problem]:
    return check_rule(source)


def _compiled(source: str) -> RuleImage | list[Problem]:
    try:
        return image_of(source)
    except InvalidRuleError as error:
        return list(error.problems)


def _within_memory(work: Callable[[str], RuleImage | list[Problem]], source: str) -> RuleImage | list[Problem]:
    try:
        return work(source)
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
