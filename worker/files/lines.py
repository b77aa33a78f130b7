"""Files of lines, plain or compressed, read in batches with bounded memory."""

from __future__ import annotations

import gzip
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from domain.errors import InvalidRequestError

CHUNK_BYTES: Final = 256 * 1024
STDIN: Final = Path("-")

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# A line's number, counted from 1, and its bytes without the line feed; None where it is longer than allowed.
Line = tuple[int, bytes | None]


class UnreadableError(InvalidRequestError):
    """A file that cannot be opened, read or unpacked."""


def line_batches(path: Path, line_bytes_max: int) -> Iterator[list[Line]]:
    """Yield a file's lines, a chunk's at a time; ``-`` is standard input, a name in ``.gz`` is unpacked.

    Memory is bounded by a chunk and the longest line allowed: a longer one is passed over to its end. From a pipe each
    batch is what was there to read, so that nothing waits for more. Raises UnreadableError, after the lines before.
    """
    number = 0
    rest = b""
    is_skipping = False
    with _opened(path) as stream:
        is_first = True
        while chunk := stream.read1(CHUNK_BYTES):  # type: ignore[attr-defined]  # every buffered reader has it
            if is_first:
                chunk = chunk.removeprefix(_BYTE_ORDER_MARK)  # the same chunk, unmarked
                is_first = False
            parts = (rest + chunk).split(b"\n")
            rest = parts.pop()
            batch: list[Line] = []
            for part in parts:
                number += 1
                batch.append((number, None if is_skipping or len(part) > line_bytes_max else part))
                is_skipping = False
            if is_skipping or len(rest) > line_bytes_max:
                is_skipping = True
                rest = b""
            if batch:
                yield batch
    if is_skipping or rest:
        yield [(number + 1, None if is_skipping else rest)]


def count_lines(path: Path) -> int | None:
    """Count a file's lines, for a progress bar; None where counting would use them up (a pipe) or fails."""
    try:
        if path == STDIN or not stat.S_ISREG(path.stat().st_mode):
            return None
        lines = 0
        last = b"\n"
        with _opened(path) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                lines += chunk.count(b"\n")
                last = chunk[-1:]
    except (OSError, UnreadableError):
        return None
    return lines + (last != b"\n")


def shown_name(path: Path) -> str:
    """Return the name under which a file's lines are spoken of, and its facts identified."""
    return "stdin" if path == STDIN else path.name


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path == STDIN:
            yield sys.stdin.buffer
        elif path.suffix == ".gz":
            with gzip.open(path) as packed:
                yield cast("IO[bytes]", packed)
        else:
            with path.open("rb") as plain:
                yield plain
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableError(f"cannot be read: {reason}", file=str(path)) from error
