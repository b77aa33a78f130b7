"""What is on the wire: duplicates, lost acknowledgements, poison, facts that a rule fails on; and rules that change."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.behaviour.bus import eventually
from tests.faults.audit import Audit
from tests.faults.evidence import Evidence
from tests.faults.ledger import Entry
from tests.faults.load import Mix
from tests.faults.scenario import Scenario, repeatedly
from tests.faults.services import change_some_rule
from tests.faults.stage import CHANGE_WAIT_S, Stage

COPIES = 20
LOSE_EACH = 3  # of so many acknowledgements one is lost


async def publish_copies(stage: Stage) -> None:
    """Publish facts several times: at once, within the server's duplicate window, after it, and with other contents."""
    load = stage.load
    kinds = ("ce", "structured", "bare-ce", "msg")
    entries = [load.fact(kind=stage.chance.choice(kinds)) for _ in range(COPIES)]
    await load.publish_all([entry for entry in entries for _ in range(3)])
    changed = [_changed(stage, entry) for entry in entries[: COPIES // 2]]
    await load.publish_all([*entries, *changed])

    async def publish_again() -> bool:
        await load.publish(entries[0])
        return entries[0].acknowledged[-1][1]

    if entries[0].headers is not None and "Nats-Msg-Id" in entries[0].headers:
        await eventually(publish_again, lambda is_duplicate: not is_duplicate, CHANGE_WAIT_S)
    await load.publish_all([*changed, *entries, *entries])


def _changed(stage: Stage, entry: Entry) -> Entry:
    """Make another content under the same id: whichever is decided first stands for both."""
    body = json.loads(entry.data)
    order = body.get("data", body)
    order["total"] = (order["total"] + 500) % 1000
    return stage.ledger.enter(entry.subject, entry.headers, json.dumps(body, ensure_ascii=False).encode())


def some_were_published_twice(_: Audit, evidence: Evidence) -> Iterable[str]:
    """The copies went past the server's own window."""
    if len(evidence.facts) <= len(evidence.rows) + len(evidence.dead_letters):
        yield "no fact is twice on the stream: the server has dropped every copy"


async def lose_acknowledgements(stage: Stage, times: int) -> None:
    """Let a worker's acknowledgements be lost on their way, until so many facts have come again."""
    worker = await stage.start_faulty(lose_acks=LOSE_EACH)
    await worker.started()

    async def redelivered() -> int:
        return int(await worker.metric("rulestream_facts_redelivered_total"))

    stage.injected = await eventually(redelivered, lambda count: count >= times, CHANGE_WAIT_S)
    await worker.ends()


async def publish_poison(stage: Stage, times: int) -> None:
    """Publish messages that can be no decision among the others."""
    await stage.start_worker()
    await stage.start_worker()

    async def poisons() -> int:
        return sum(entry.dead is not None for entry in stage.ledger.entries)

    stage.injected = await eventually(poisons, lambda count: count >= times, CHANGE_WAIT_S)


async def fail_rules(stage: Stage, times: int) -> None:
    """Publish facts that a rule fails on, until so many."""
    await stage.start_worker()
    await stage.start_worker()
    await stage.progress(times * 3)
    stage.injected = times


def rules_failed(found: Audit, _: Evidence) -> Iterable[str]:
    """Rules did fail, and their facts were decided."""
    if found.faults_decided < found.decided // 5:
        yield f"of {found.decided} decisions only {found.faults_decided} have faults"


async def change_rules(stage: Stage) -> None:
    """Change the ruleset under load: a new version; or an emergency stop, and then what decided before again."""
    active = stage.ledger.active
    drawn = stage.chance.random()
    if drawn < 0.6:
        await change_some_rule(stage)
        return
    name = stage.chance.choice([one for one in active if one != "closing"])
    known = active[name]
    await stage.deactivate_rule(name)
    await stage.progress(stage.chance.randrange(1, 40))
    decided = {of[name].version: of[name] for of in stage.ledger.revisions.values() if name in of}
    earlier = [decided[version] for version in sorted(decided) if version < known.version]
    if earlier:
        await stage.roll_back_rule(name, stage.chance.choice(earlier))
    else:
        await stage.reactivate_rule(name, known)


def several_revisions_decided(_: Audit, evidence: Evidence) -> Iterable[str]:
    """The changes fell into the load."""
    revisions = {json.loads(row.body)["ruleset"]["revision"] for row in evidence.rows}
    if len(revisions) < 3:
        yield f"decisions were made under {len(revisions)} revisions only"


SCENARIOS = (
    Scenario(
        "duplicates", "facts published again and again", 10, repeatedly(publish_copies), check=some_were_published_twice
    ),
    Scenario("acks-lost", "acknowledgements lost", 200, lose_acknowledgements),
    Scenario("poison", "poison, oversize and too deep facts", 150, publish_poison, Mix(poison=0.12)),
    Scenario("failing-rule", "a rule fails on the fact", 500, fail_rules, Mix(failing=0.5), check=rules_failed),
    Scenario(
        "ruleset-swap", "ruleset changed under load", 20, repeatedly(change_rules), check=several_revisions_decided
    ),
)
