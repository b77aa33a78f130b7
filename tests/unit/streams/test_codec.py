"""Decoding commands: each thing that can be wrong, and the contract's code for it."""

from __future__ import annotations

import json

import msgspec
import pytest

from domain.errors import ErrorCode, RulestreamError
from streams.codec import DEPTH_MAX, REQUEST_BYTES_MAX, decode_request, is_too_deep, payload_digest
from streams.messages.commands import CommandPayload, CreateRule, CreateTemplate, UpdateRule

GOOD = {"name": "some rule", "dslContent": "a == 1", "priority": "HIGH"}


class Nothing(CommandPayload, frozen=True):
    """A payload without fields."""


def changed(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def nested(depth: int) -> bytes:
    """Write lists in lists, inside the object that a payload is: ``depth`` in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


# what is sent, the code, part of the message, and what the details say
CASES = [
    pytest.param(b"{", ErrorCode.INVALID_REQUEST, "not JSON", {}, id="cut off"),
    pytest.param(b"not json", ErrorCode.INVALID_REQUEST, "not JSON", {}, id="no JSON"),
    pytest.param(b"\xff", ErrorCode.INVALID_REQUEST, "not JSON", {}, id="no UTF-8"),
    pytest.param(b'{"name":"\xff"}', ErrorCode.INVALID_REQUEST, "not JSON", {}, id="no UTF-8 in a string"),
    pytest.param(changed() + b"{}", ErrorCode.INVALID_REQUEST, "not JSON", {}, id="two values"),
    pytest.param(b"{} {}", ErrorCode.INVALID_REQUEST, "not JSON", {}, id="two values, the first lacks its fields"),
    pytest.param(b'{"name": 1, ', ErrorCode.INVALID_REQUEST, "not JSON", {}, id="cut off behind a wrong type"),
    pytest.param(b"[]", ErrorCode.INVALID_REQUEST, "not a JSON object", {}, id="a list"),
    pytest.param(b'"x"', ErrorCode.INVALID_REQUEST, "not a JSON object", {}, id="a string"),
    pytest.param(b"null", ErrorCode.INVALID_REQUEST, "not a JSON object", {}, id="null"),
    pytest.param(changed(extra=1), ErrorCode.INVALID_REQUEST, "unknown field extra", {"field": "extra"}, id="unknown"),
    pytest.param(
        changed(dsl_content="x"), ErrorCode.INVALID_REQUEST, "dsl_content", {"field": "dsl_content"}, id="snake case"
    ),
    pytest.param(
        b'{"dslContent":"a","priority":"LOW"}',
        ErrorCode.MISSING_PARAMETER,
        "name is required",
        {"field": "name"},
        id="missing",
    ),
    pytest.param(b"", ErrorCode.MISSING_PARAMETER, "name is required", {"field": "name"}, id="empty payload"),
    pytest.param(changed(name=1), ErrorCode.VALIDATION_ERROR, "name: Expected `str`", None, id="wrong type"),
    pytest.param(changed(name=None), ErrorCode.VALIDATION_ERROR, "name: Expected `str`", None, id="null"),
    pytest.param(changed(tags="x"), ErrorCode.VALIDATION_ERROR, "tags: Expected", None, id="no list"),
    pytest.param(changed(tags=["x", 1]), ErrorCode.VALIDATION_ERROR, "tags", None, id="wrong type in a list"),
    pytest.param(nested(DEPTH_MAX + 1), ErrorCode.INVALID_REQUEST, "64 deep", {}, id="too deep"),
    pytest.param(
        b'"' + b"x" * (REQUEST_BYTES_MAX - 1) + b'"',
        ErrorCode.INVALID_REQUEST,
        "at most 1048576 bytes",
        {"bytes": REQUEST_BYTES_MAX + 1},
        id="too large",
    ),
]


@pytest.mark.parametrize(
    ("parameter", "code", "field"),
    [
        ({"name": "p", "type": "int", "x": 5}, ErrorCode.INVALID_REQUEST, "parameters[0].x"),
        ({"name": "p"}, ErrorCode.MISSING_PARAMETER, "parameters[0].type"),
        ({"type": "int"}, ErrorCode.MISSING_PARAMETER, "parameters[0].name"),
    ],
)
def test_a_field_inside_another_is_named_with_its_place(parameter: object, code: ErrorCode, field: str) -> None:
    payload = {"name": "some template", "dslTemplate": "a == ${p}", "parameters": [parameter]}
    with pytest.raises(RulestreamError) as refused:
        decode_request(msgspec.json.encode(payload), CreateTemplate)
    assert (refused.value.code, refused.value.details) == (code, {"field": field})


@pytest.mark.parametrize(("data", "code", "message", "details"), CASES)
def test_what_is_wrong_with_a_payload_has_its_code(
    data: bytes, code: ErrorCode, message: str, details: dict[str, object] | None
) -> None:
    with pytest.raises(RulestreamError) as refused:
        decode_request(data, CreateRule)
    assert refused.value.code is code
    assert message in refused.value.message
    if details is not None:
        assert refused.value.details == details
    else:
        (problem,) = refused.value.details["problems"]
        assert problem["code"] == "wrong-type"
        assert problem["field"]
        assert "at `$" not in problem["message"]


def test_a_good_payload_is_read() -> None:
    assert decode_request(changed(tags=["x"]), CreateRule) == CreateRule("some rule", "a == 1", "HIGH", tags=["x"])


def test_a_payload_of_the_largest_size_is_read() -> None:
    data = changed(description="")
    padded = data + b" " * (REQUEST_BYTES_MAX - len(data))
    assert decode_request(padded, CreateRule).name == "some rule"


def test_an_empty_payload_is_an_empty_object() -> None:
    assert decode_request(b"", Nothing) == Nothing()


def test_an_absent_field_of_an_update_is_told_from_null() -> None:
    update = decode_request(b'{"ruleId":"x","expectedVersion":1,"description":null}', UpdateRule)
    assert update.description is None
    assert update.name is msgspec.UNSET


class TestDepth:
    @pytest.mark.parametrize(("depth", "too_deep"), [(DEPTH_MAX, False), (DEPTH_MAX + 1, True)])
    def test_64_is_allowed_and_65_is_not(self, depth: int, too_deep: bool) -> None:
        assert is_too_deep(nested(depth)) is too_deep
        assert is_too_deep(nested(depth).replace(b"[", b'{"k":[').replace(b"]", b"]}"), 2 * DEPTH_MAX - 1) is too_deep

    def test_brackets_inside_strings_do_not_count(self) -> None:
        assert not is_too_deep(b'{"a":"' + b"[" * 100 + b'","b":"\\"' + b"{" * 100 + b'"}')

    def test_but_those_after_a_string_that_ends_in_an_escaped_backslash_do(self) -> None:
        assert is_too_deep(b'{"a":"\\\\","b":' + b"[" * 64 + b"]" * 64 + b"}")

    def test_many_brackets_side_by_side_are_not_deep(self) -> None:
        assert not is_too_deep(b"[" + b",".join([b"[]"] * 1000) + b"]")

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("filler", [b'\\"', b'"', b"\\\\", b'\\" ', b"["])
    def test_no_text_holds_the_loop_up(self, filler: bytes) -> None:
        """Text whose strings never end once took time that grew with its square, minutes for one fact: a hang."""
        data = b"[" + b"[]," * 65 + b'"' + filler * (512 * 1024 // len(filler))
        assert not is_too_deep(data)


class TestPayloadDigest:
    def test_the_order_of_keys_and_white_space_do_not_matter(self) -> None:
        assert payload_digest("create", b'{"a":1,"b":{"c":2,"d":3}}') == payload_digest(
            "create", b' {"b": {"d": 3, "c": 2}, "a": 1}'
        )

    def test_an_empty_payload_is_an_empty_object(self) -> None:
        assert payload_digest("create", b"") == payload_digest("create", b"{}")

    @pytest.mark.parametrize("other", [b'{"a":2}', b'{"b":1}', b'{"a":"1"}', b"{}", b"[1]", b"not json"])
    def test_another_payload_has_another_digest(self, other: bytes) -> None:
        assert payload_digest("create", other) != payload_digest("create", b'{"a":1}')

    def test_another_verb_has_another_digest(self) -> None:
        assert payload_digest("create", b"{}") != payload_digest("update", b"{}")

    def test_what_is_no_json_is_told_apart_by_its_bytes(self) -> None:
        assert payload_digest("create", b"{x") != payload_digest("create", b"{y")
