"""The API document: by AsyncAPI's own schema, whole, the same each time, and fresh in docs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from domain.errors import ErrorCode
from domain.roles import VERBS
from domain.rules.events import EventName
from domain.templates.events import TemplateEventName
from streams import subjects
from streams.asyncapi import document
from streams.asyncapi.markdown import anchor, to_markdown
from streams.asyncapi.texts import CODES, COMMAND_REASONS, COMMANDS, EVENTS, FACT_REASONS, QUERIES
from streams.asyncapi.writing import to_json, to_yaml
from streams.facts.intake import DeadReason
from streams.messages import answers, commands, event_data, queries
from streams.messages.fields import UNANSWERED_CODES
from streams.topology import TopologySettings, topology
from tests.asyncapi.judge import Judge, without

PROJECT = Path(__file__).parents[3]
OFFICIAL = PROJECT / "tests" / "asyncapi" / "third_party" / "asyncapi-3.0.0.json"

DOCUMENT = document()
JUDGE = Judge(DOCUMENT)
MESSAGES = DOCUMENT["components"]["messages"]
EXAMPLES = [
    pytest.param(channel, key, reference, example, id=f"{channel}-{key}-{example['name']}")
    for channel, found in DOCUMENT["channels"].items()
    for key, reference in found["messages"].items()
    for example in MESSAGES[reference["$ref"].rpartition("/")[2]]["examples"]
]


def official_problems(found: Any) -> list[str]:
    validator = jsonschema.Draft7Validator(json.loads(OFFICIAL.read_text(encoding="utf-8")))
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(found)]


def references(value: Any) -> Iterator[str]:
    """Yield every reference that stands in a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_it_is_an_asyncapi_document_by_asyncapis_own_schema() -> None:
    assert official_problems(DOCUMENT) == []


@pytest.mark.parametrize(
    "path",
    [("info", "title"), ("servers", "data", "protocol"), ("operations", "create", "channel")],
    ids=".".join,
)
def test_asyncapis_schema_finds_what_is_no_document(path: tuple[str, ...]) -> None:
    assert official_problems(without(DOCUMENT, *path)) != []


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        at: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in at, reference
            at = at[part]


def test_nothing_of_its_components_is_left_over() -> None:
    used = set(references(DOCUMENT))
    for kind, components in DOCUMENT["components"].items():
        assert [name for name in components if f"#/components/{kind}/{name}" not in used] == []


def test_nothing_stands_beside_a_reference() -> None:
    """JSON Schema's draft 7 overlooks it, and so would whoever reads the document by it."""

    def lone(value: Any) -> bool:
        if isinstance(value, dict):
            return ("$ref" not in value or len(value) == 1) and all(map(lone, value.values()))
        return all(map(lone, value)) if isinstance(value, list) else True

    assert lone(DOCUMENT)


@pytest.mark.parametrize(("channel", "key", "reference", "example"), EXAMPLES)
def test_each_example_is_valid_by_its_schemas(channel: str, key: str, reference: Any, example: Any) -> None:
    name = reference["$ref"].rpartition("/")[2]
    payload = example["payload"]
    data = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    parameters = MESSAGES[name].get("x-parameters", {})
    verdict = JUDGE.judge_on(channel, example.get("headers"), data, parameters=parameters, messages=[name])
    assert verdict.problems == ()


def test_an_example_with_another_field_is_not_valid() -> None:
    payload = {**MESSAGES["ActivateRule"]["examples"][0]["payload"], "soon": True}
    head = MESSAGES["ActivateRule"]["examples"][0]["headers"]
    assert not JUDGE.judge("rules.command.ann.activate", head, json.dumps(payload).encode()).is_good


def test_it_has_a_channel_for_every_subject_of_the_contract() -> None:
    wanted = {
        "rules.command.ann.create": "commands",
        "rules.reply.ann.0123456789abcdef": "replies",
        "rules.query.ann.get": "queries",
        "rules.event.5cdb9537-9ff2-525e-b538-50cf40b26e31.RuleCreated": "events",
        "facts.order.placed": "facts",
        "decisions.matched.order.placed": "matchedDecisions",
        "decisions.unmatched.order.placed": "unmatchedDecisions",
        "effects.loyalty.points": "effects",
        "dead.facts.order.placed": "deadFacts",
        "dead.facts._invalid": "deadFacts",
        "dead.commands.ann.create": "deadCommands",
    }
    assert {subject: JUDGE.channels_of(subject) for subject in wanted} == {
        subject: [channel] for subject, channel in wanted.items()
    }


@pytest.mark.parametrize(
    "subject",
    [
        "rules.command.ann.fly",
        "rules.command.a b.create",
        "rules.query.ann",
        "facts.",
        "facts.a..b",
        "facts.a!",
        "rule.a",
    ],
)
def test_it_has_no_channel_for_other_subjects(subject: str) -> None:
    assert JUDGE.channels_of(subject) == []


def test_every_stream_has_its_channels() -> None:
    subjects_of = {spec.name: spec.config["subjects"][0] for spec in topology(TopologySettings()).streams}
    for name, channel in DOCUMENT["channels"].items():
        if "x-stream" in channel:
            assert channel["address"].startswith(subjects_of[channel["x-stream"]].rstrip(">")), name
    assert {channel.get("x-stream") for channel in DOCUMENT["channels"].values()} == {*subjects_of, None}


def test_every_verb_event_code_and_reason_is_told() -> None:
    assert set(COMMANDS) == set(commands.PAYLOADS) == set(answers.COMMAND_RESULTS)
    assert set(QUERIES) == set(queries.PAYLOADS) == set(answers.QUERY_RESULTS)
    assert set(EVENTS) == {*EventName, *TemplateEventName} == set(event_data.EVENT_DATA)
    assert set(CODES) == set(ErrorCode) - UNANSWERED_CODES
    assert {*FACT_REASONS, *COMMAND_REASONS} == set(DeadReason)
    assert not set(FACT_REASONS) & set(COMMAND_REASONS)


def test_every_verb_has_an_operation_that_says_whose_it_is() -> None:
    titles = [operation["title"] for operation in DOCUMENT["operations"].values() if operation["action"] == "send"]
    assert sorted(titles) == sorted([*commands.PAYLOADS, *queries.PAYLOADS, "send a fact"])
    for role, verbs in VERBS.items():
        for operation in DOCUMENT["operations"].values():
            if operation["title"] in verbs:
                assert f"Role: {role.value} (or admin)" in operation["description"]


def test_every_operation_uses_messages_of_its_channel_and_all_are_used() -> None:
    used = set()
    for name, operation in DOCUMENT["operations"].items():
        for part in (operation, operation.get("reply", operation)):
            prefix = part["channel"]["$ref"] + "/messages/"
            assert all(one["$ref"].startswith(prefix) for one in part["messages"]), name
            used |= {one["$ref"] for one in part["messages"]}
    there = {
        f"#/channels/{name}/messages/{key}"
        for name, channel in DOCUMENT["channels"].items()
        for key in channel["messages"]
    }
    assert there - used == set()


def test_a_reply_has_an_address_only_where_its_channel_has_none() -> None:
    for operation in DOCUMENT["operations"].values():
        if "reply" in operation:
            channel = DOCUMENT["channels"][operation["reply"]["channel"]["$ref"].rpartition("/")[2]]
            assert ("address" in operation["reply"]) == (channel["address"] is None)


def test_addresses_are_those_that_are_published_on() -> None:
    addresses = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    assert addresses["commands"] == subjects.command("{actor}", "{verb}")
    assert addresses["facts"] == subjects.fact("{factType}")


def test_it_is_the_same_each_time() -> None:
    assert to_json(document()) == to_json(DOCUMENT)
    assert to_yaml(document()) == to_yaml(DOCUMENT)
    assert to_markdown(document()) == to_markdown(DOCUMENT)


def test_both_texts_are_the_document() -> None:
    assert json.loads(to_json(DOCUMENT)) == DOCUMENT
    assert yaml.safe_load(to_yaml(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize(("name", "write"), [("asyncapi.yaml", to_yaml), ("api.md", to_markdown)])
def test_the_documents_in_docs_are_fresh(name: str, write: Any) -> None:
    """`rulestream asyncapi --out docs/NAME` renews them."""
    assert (PROJECT / "docs" / name).read_text(encoding="utf-8") == write(DOCUMENT)


class TestMarkdown:
    TEXT = to_markdown(DOCUMENT)

    def headings(self) -> list[str]:
        outside = re.sub(r"```.*?```", "", self.TEXT, flags=re.DOTALL)
        return [anchor(found) for found in re.findall(r"^#+ (.+)$", outside, re.MULTILINE)]

    def test_headings_are_unique_so_that_links_lead_to_one(self) -> None:
        headings = self.headings()
        assert len(headings) == len(set(headings))

    def test_every_link_within_it_leads_to_a_heading(self) -> None:
        linked = set(re.findall(r"\]\(#([^)]+)\)", self.TEXT))
        assert linked
        assert linked - set(self.headings()) == set()

    def test_it_tells_every_channel_verb_event_code_and_reason(self) -> None:
        for channel in DOCUMENT["channels"].values():
            assert f"## {channel['title']}\n" in self.TEXT
        for heading in (*commands.PAYLOADS, *queries.PAYLOADS, *(name.value for name in EVENTS)):
            assert f"### {heading}\n" in self.TEXT
        for word in (*CODES, *DeadReason):
            assert f"| `{word.value}` |" in self.TEXT

    def test_every_row_of_a_table_has_as_many_cells_as_its_head(self) -> None:
        widths: list[int] = []
        for line in self.TEXT.splitlines():
            if not line.startswith("|"):
                widths = []
                continue
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
            assert widths[0] == widths[-1], line
