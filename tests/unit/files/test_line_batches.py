"""Files of lines: numbered, bounded in memory, from a pipe as they come."""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path

import pytest

from worker.files import lines as module
from worker.files.lines import STDIN, UnreadableError, count_lines, line_batches


def lines_of(path: Path, bytes_max: int = 100) -> list:
    return [line for batch in line_batches(path, bytes_max) for line in batch]


@pytest.fixture(params=[".ndjson", ".ndjson.gz"])
def write(request, tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / f"facts{request.param}"
        path.write_bytes(gzip.compress(data) if request.param.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("chunk_bytes", [1, 2, 7, 1 << 20])
class TestLines:
    @pytest.fixture(autouse=True)
    def _chunks(self, chunk_bytes, monkeypatch):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)

    def test_lines_are_numbered_from_1_wherever_chunks_end(self, write):
        assert lines_of(write(b"one\n\nthree\r\nfour")) == [(1, b"one"), (2, b""), (3, b"three\r"), (4, b"four")]

    def test_a_last_line_feed_begins_no_line(self, write):
        path = write(b"one\n")

        assert lines_of(path) == [(1, b"one")]
        assert count_lines(path) == 1

    def test_an_empty_file_has_no_line(self, write):
        path = write(b"")

        assert lines_of(path) == []
        assert count_lines(path) == 0

    def test_a_line_longer_than_allowed_is_passed_over_and_the_next_ones_are_read(self, write):
        path = write(b"a" * 10 + b"\n" + b"b" * 11 + b"\n" + b"c" * 1000 + b"\nd\n" + b"e" * 30)

        assert lines_of(path, 10) == [(1, b"a" * 10), (2, None), (3, None), (4, b"d"), (5, None)]
        assert count_lines(path) == 5


def test_a_byte_order_mark_is_no_part_of_the_first_line(write):
    assert lines_of(write(b"\xef\xbb\xbf{}\n")) == [(1, b"{}")]


def test_a_file_that_ends_too_early_gives_its_lines_and_then_the_error(tmp_path):
    path = tmp_path / "facts.gz"
    packed = gzip.compress(b"".join(b"%d\n" % (n * 7919 % 100_003) for n in range(50_000)))
    path.write_bytes(packed[: len(packed) // 2])
    read = []
    with pytest.raises(UnreadableError, match="cannot be read"):
        read.extend(line for batch in line_batches(path, 100) for line in batch)

    assert read[0] == (1, b"0")
    assert len(read) > 1_000
    assert count_lines(path) is None


def test_a_file_that_is_not_there_is_an_error_naming_it(tmp_path):
    with pytest.raises(UnreadableError) as raised:
        lines_of(tmp_path / "none")
    assert raised.value.details["file"] == str(tmp_path / "none")


class TestPipes:
    def test_standard_input_gives_what_is_there_before_more_comes(self, monkeypatch):
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as sender:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
            batches = line_batches(STDIN, 100)
            sender.write(b"one\ntwo\nth")
            assert next(batches) == [(1, b"one"), (2, b"two")]
            sender.write(b"ree\n")
            assert next(batches) == [(3, b"three")]

    def test_a_pipe_is_not_counted_since_that_would_use_it_up(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        assert count_lines(pipe) is None
        assert count_lines(STDIN) is None
