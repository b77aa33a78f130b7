"""FACTS as files: envelopes, bare facts, and lines that are neither."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from domain.identifiers import fact_key
from domain.language import parse_timestamp
from worker.files.facts import FactProblem, FileFact, count_lines, read_fact_batches, read_facts

ROOT = Path(__file__).parents[3]


@pytest.fixture
def read(tmp_path):
    def read(*lines: str | bytes, fact_type: str | None = None) -> list[FileFact | FactProblem]:
        path = tmp_path / "facts.ndjson"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
        return list(read_facts(path, fact_type))

    return read


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


class TestEnvelopes:
    def test_an_envelope_gives_id_type_time_data_and_the_bytes_of_its_data(self, read):
        line = '{"id": "o-1", "type": "order.placed", "time": "2026-03-02T08:00:00.5+01:00", "data":  {"a": [1, 2]} }'

        assert read(line) == [
            FileFact(
                1,
                "o-1",
                "order.placed",
                parse_timestamp("2026-03-02T07:00:00.5Z").ns,
                {"a": [1, 2]},
                b'{"a": [1, 2]}',
            )
        ]

    @pytest.mark.parametrize("line", ['{"type":"t","data":{}}', '{"data":{},"id":null,"time":null,"type":"t"}'])
    def test_id_and_time_may_be_absent(self, read, line):
        assert read(line) == [FileFact(1, None, "t", None, {}, b"{}")]

    def test_the_type_of_an_envelope_stands_over_that_of_the_caller(self, read):
        own, callers = read('{"type":"own","data":{}}', '{"data":{}}', fact_type="callers")

        assert (own.type, callers.type) == ("own", "callers")

    @pytest.mark.parametrize(
        "line",
        [
            '{"id": "x", "type": "own", "data": [1]}',
            '{"id": "x", "type": "own"}',
            '{"id": "x", "type": "own", "data": {}, "more": 1}',
            '{"data": "text"}',
            "{}",
        ],
    )
    def test_any_other_object_is_a_bare_fact_of_the_callers_type(self, read, line):
        assert read(f"  {line}\r", fact_type="bare") == [
            FileFact(1, None, "bare", None, json.loads(line), line.encode())
        ]


PROBLEMS = {
    "NOT_JSON": ["nope", '{"a":1', '{"type":"t","data":{"a":1,}}', '{"type":"t","data":{}} {}', b'{"a":"\xff"}'],
    "NOT_AN_OBJECT": ["[1]", "3", "null", '"text"'],
    "INVALID_FACT_ID": [
        '{"id":"","type":"t","data":{}}',
        '{"id":3,"type":"t","data":{}}',
        '{"id":"a\\u0000","type":"t","data":{}}',
        json.dumps({"id": "x" * 257, "type": "t", "data": {}}),
    ],
    "INVALID_TYPE": ['{"type":"a b","data":{}}', '{"type":"a..b","data":{}}', '{"type":["a"],"data":{}}'],
    "INVALID_TIME": [
        '{"type":"t","time":"2026-02-30T00:00:00Z","data":{}}',
        '{"type":"t","time":"2026-02-28","data":{}}',
        '{"type":"t","time":1772000000,"data":{}}',
    ],
    "NO_TYPE": ['{"data":{}}', '{"a":1}', '{"id":"x","tpye":"t","data":{}}'],
    "FACT_TOO_DEEP": [nested(65), '{"type":"t","data":' + nested(65) + "}", '{"type":"t","data":' + "[" * 100_000],
    "FACT_TOO_LARGE": [
        json.dumps({"a": "x" * 512 * 1024}),
        json.dumps({"type": "t", "data": {"a": "x" * 512 * 1024}}),
        json.dumps({"type": "t", "data": {"a": "x" * 5_000_000}}),
    ],
    "NUMBER_OUT_OF_RANGE": ['{"a":1e999}', '{"type":"t","data":{"a":1e999}}'],
}


@pytest.mark.parametrize(
    ("code", "line"),
    [(code, line) for code, lines in PROBLEMS.items() for line in lines],
    ids=[f"{code}-{n}" for code, lines in PROBLEMS.items() for n in range(len(lines))],
)
def test_a_bad_line_is_a_problem_with_its_number_and_the_facts_beside_it_are_read(read, code, line):
    good = '{"type":"good","data":{}}'
    before, problem, after = read(good, line, good)

    assert isinstance(problem, FactProblem)
    assert (problem.line, problem.code) == (2, code)
    assert problem.message
    assert (before.line, after.line) == (1, 3)


def test_what_is_just_within_the_bounds_is_a_fact(read):
    large = json.dumps({"a": "x" * (512 * 1024 - len('{"a": ""}'))})
    facts = read(
        '{"type":"t","data":' + nested(64) + "}",
        large,
        f'{{"id":"{"x" * 256}","type":"{".".join(["t"] * 16)}","data":{large}}}',
        fact_type="t",
    )

    assert [type(fact) for fact in facts] == [FileFact] * 3
    assert len(facts[2].data) == 512 * 1024


def test_blank_lines_are_passed_over_and_counted(read):
    assert [fact.line for fact in read("", '{"a":1}', "  \r", '{"a":2}', "", fact_type="t")] == [2, 4]


def test_integers_beyond_64_bits_are_read_as_a_worker_reads_them(read):
    [fact] = read('{"a":12345678901234567890123}', fact_type="t")

    assert type(fact.payload["a"]) is float


def test_a_file_that_cannot_be_read_to_its_end_is_a_problem_after_its_facts(tmp_path):
    path = tmp_path / "facts.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n{"a":2}\n')[:-8])
    facts = list(read_facts(path, "t"))

    assert [fact.line for fact in facts] == [1, 2, 3]
    assert facts[2].code == "UNREADABLE"


class TestIdentity:
    def test_an_id_makes_the_key_wherever_and_whenever_the_fact_is_read(self, read):
        [fact] = read('{"id":"o-1","type":"t","data":{}}')
        found = fact.to_fact("facts.ndjson")

        assert (found.id, found.sequence) == ("o-1", 1)
        assert found.key == fact_key("ce", "file", "o-1") == fact.to_fact("other").key

    def test_without_an_id_the_file_and_line_do(self, read):
        one, other = (fact.to_fact("facts.ndjson") for fact in read('{"a":1}', '{"a":1}', fact_type="t"))

        assert (one.id, other.id) == ("facts.ndjson:1", "facts.ndjson:2")
        assert one.key == fact_key("seq", "facts.ndjson", "1")
        assert one.key != other.key


def test_the_flights_are_read_whole_in_bounded_memory():
    path = ROOT / "examples" / "flights" / "facts.ndjson.gz"
    tracemalloc.start()
    facts = sum(isinstance(fact, FileFact) for batch in read_fact_batches(path) for fact in batch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert facts == count_lines(path) == 27_612
    assert peak < 8 * 1024 * 1024
