"""``rulestream rule history``: a rule's history as people read it, letter for letter."""

from __future__ import annotations

import io
import re
import uuid
from typing import Any

import pytest
from rich.console import Console

from tests.cli.conftest import Line
from worker.cli.history import history_text

RULE_ID = "00000000-0000-0000-0000-000000000001"
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z")
DIGEST = re.compile(r"\b[0-9a-f]{12}\b")
TEN = 'when customer.tier == "gold"\nthen set discount = 10'
TWENTY = 'when customer.tier == "gold"\nthen set discount = 20'


def entry(event: str, version: int = 1, actor: str = "ann", status: str = "DRAFT", **more: Any) -> dict[str, Any]:
    return {
        "eventType": event,
        "ruleId": RULE_ID,
        "name": "gold discount",
        "version": version,
        "status": status,
        "actor": actor,
        "occurredAt": "2026-01-31T12:00:00Z",
        "contentDigest": f"{version}" * 64,
        "beforeDigest": None,
        "data": {},
        **more,
    }


def version(number: int, dsl: str = TEN, **more: Any) -> dict[str, Any]:
    fields = {"name": "gold discount", "description": "", "priority": "MEDIUM", "tags": []}
    return {"version": number, "dslContent": dsl, **fields, "effectiveFrom": None, "effectiveUntil": None, **more}


def plain(entries: list[dict[str, Any]], versions: list[dict[str, Any]]) -> str:
    return history_text(entries, versions).plain


GOLDEN = """\
gold discount  ID

TIME  ann  RuleCreated  version 1 DRAFT
    content: DIGEST
    name: gold discount
    priority: MEDIUM
    --- nothing
    +++ version 1
    @@ -0,0 +1,2 @@
    +when customer.tier == "gold"
    +then set discount = 10

TIME  ann  RuleSubmittedForApproval  version 1 UNDER_REVIEW

TIME  bob  RuleRejected  version 1 DRAFT
    reason: too generous

TIME  ann  RuleUpdated  version 2 DRAFT
    content: DIGEST -> DIGEST
    priority: MEDIUM -> HIGH
    tags: none -> shop, vip
    effective from: none -> 2026-01-01T00:00:00Z
    --- version 1
    +++ version 2
    @@ -1,2 +1,2 @@
     when customer.tier == "gold"
    -then set discount = 10
    +then set discount = 5

TIME  ann  RuleSubmittedForApproval  version 2 UNDER_REVIEW

TIME  bob  RuleApproved  version 2 APPROVED
    comment: fine
    content: DIGEST

TIME  bob  RuleActivated  version 2 ACTIVE, ruleset revision 1

TIME  ann  RuleUpdated  version 3 DRAFT
    content: DIGEST -> DIGEST
    name: gold discount -> golden discount

TIME  bob  RuleRolledBack  version 4 ACTIVE, ruleset revision 2
    restored from version: 2
    decides in place of version: 2
    content: DIGEST -> DIGEST
    name: golden discount -> gold discount

TIME  bob  RuleDeactivated  version 4 INACTIVE, ruleset revision 3
    stopped version: 4
"""


@pytest.mark.usefixtures("a_worker")
def test_a_rules_life_is_told_with_reasons_and_what_each_version_changed(line: Line) -> None:
    rule = line.json("rule", "create", "--actor", "ann", "--name", "gold discount", "--dsl", TEN)
    five = ["--dsl", TEN.replace("10", "5"), "--priority", "HIGH", "--tag", "shop", "--tag", "vip"]
    for actor, words in (
        ("ann", ["submit"]),
        ("bob", ["reject", "--reason", "too generous"]),
        ("ann", ["update", *five, "--effective-from", "2026-01-01T00:00:00Z"]),
        ("ann", ["submit"]),
        ("bob", ["approve", "--comment", "fine"]),
        ("bob", ["activate"]),
        ("ann", ["update", "--name", "golden discount"]),
        ("bob", ["rollback", "--to-version", "2"]),
        ("bob", ["deactivate"]),
    ):
        line.run("rule", words[0], rule["ruleId"], "--actor", actor, *words[1:])
    shown = line.run("rule", "history", "gold discount").stdout
    shown = shown.replace(rule["ruleId"], "ID")
    tokens = {TIME: "TIME", DIGEST: "DIGEST"}
    masked = shown
    for pattern, token in tokens.items():
        masked = pattern.sub(token, masked)
    masked = masked.replace("effective from: none -> TIME", "effective from: none -> 2026-01-01T00:00:00Z")
    assert re.sub(r"TIME +", "TIME  ", masked) == GOLDEN
    found = line.json("rule", "history", "gold discount")
    (approved,) = (one for one in found["items"] if one["eventType"] == "RuleApproved")
    assert approved["contentDigest"] == approved["beforeDigest"]
    assert f"content: {approved['contentDigest'][:12]}\n" in shown


@pytest.mark.usefixtures("a_worker")
def test_a_deleted_rules_history_is_found_by_its_id(line: Line) -> None:
    rule = line.json("rule", "create", "--actor", "ann", "--name", "gold discount", "--dsl", TEN)
    line.run("rule", "delete", rule["ruleId"], "--actor", "ann")
    shown = line.run("rule", "history", rule["ruleId"]).stdout
    assert [row.split()[2] for row in shown.splitlines() if TIME.match(row)] == ["RuleCreated", "RuleDeleted"]
    assert "no such rule" in line.run("rule", "history", "gold discount", code=1).stderr
    assert "no such rule" in line.run("rule", "history", str(uuid.uuid4()), code=1).stderr


def test_a_new_version_that_only_ends_its_lines_otherwise_shows_that() -> None:
    """The digest has changed, so something must be seen."""
    entries = [entry("RuleUpdated", 2, beforeDigest="1" * 64)]
    shown = plain(entries, [version(2, TEN.replace("\n", "\r\n") + "\n"), version(1)])
    assert '-when customer.tier == "gold"\n' in shown
    assert '+when customer.tier == "gold"\\u000d\n' in shown
    assert shown.endswith("    +\n")


@pytest.mark.parametrize("hidden", ["\x1b[8m", "\u202e", "\u200b", "\x00", "\x9b", "\u2028", "\ud800", "\r", "\u2066"])
def test_nothing_that_a_terminal_obeys_or_hides_reaches_it(hidden: str) -> None:
    escaped = f"\\u{ord(hidden[0]):04x}"
    entries = [
        entry("RuleCreated", name=f"gold{hidden}"),
        entry("RuleRejected", data={"reason": f"too{hidden} generous"}),
    ]
    shown = plain(entries, [version(1, f"a == '{hidden}'", tags=[f"vip{hidden}"], description=f"d{hidden}")])
    assert hidden[0] not in shown
    assert shown.count(escaped) == 4


def test_entries_from_before_digests_were_kept_are_shown_without() -> None:
    assert "    content: 222222222222\n" in plain([entry("RuleUpdated", 2)], [])


def test_a_rule_of_a_template_tells_it_and_its_parameters() -> None:
    data = {"templateId": "t-1", "templateVersion": 3, "parameters": {"limit": 10, "tier": "gold"}}
    shown = plain([entry("RuleCreated", data=data)], [])
    assert '    template: t-1\n    template version: 3\n    parameters: {"limit":10,"tier":"gold"}\n' in shown


def test_what_a_later_release_adds_to_an_event_is_shown_under_its_own_name() -> None:
    assert "    ticket: OPS-7\n" in plain([entry("RuleApproved", data={"ticket": "OPS-7"})], [])


def test_columns_are_as_wide_as_the_widest_actor() -> None:
    rows = plain([entry("RuleCreated"), entry("RuleApproved", actor="operations-lead")], []).splitlines()
    assert len({row.index("Rule") for row in rows if row.startswith("2026")}) == 1


def test_a_terminal_shows_it_in_colours_and_a_pipe_plain() -> None:
    text = history_text([entry("RuleUpdated", 2, beforeDigest="1" * 64)], [version(2, TWENTY), version(1)])
    screen, pipe = io.StringIO(), io.StringIO()
    Console(file=screen, force_terminal=True, color_system="standard").print(text, soft_wrap=True)
    Console(file=pipe).print(text, soft_wrap=True)
    assert "\x1b[32m    +then set discount = 20\x1b[0m" in screen.getvalue()
    assert "\x1b[31m    -then set discount = 10\x1b[0m" in screen.getvalue()
    assert "\x1b" not in pipe.getvalue()
