"""Rule files applied to a worker: what it has is read, a plan is made of that, and the plan's commands are sent.

Nothing here makes an apply that is run again after a crash do anything twice, and nothing needs to: a ``create`` is
refused when its name exists and an ``update`` when the rule is no more at the version that the plan saw, so each
command has a random id of its own. The new plan shows what the first run did as done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from domain.errors import ErrorCode, RulestreamError, UnavailableError
from domain.identifiers import RuleId
from domain.rules.content import Priority, RuleContent, parse_moment
from domain.rules.status import RuleStatus
from streams.messages.queries import RuleSummary, RuleView, VersionView
from worker.client import RemoteError
from worker.files.export import ExportedRule
from worker.files.plan import KnownRules, Plan, PlannedRule, StoredRule
from worker.files.rules import RuleSource

QUERIES_AT_ONCE: Final = 16
# So that rules made meanwhile come after those that are read, and shift none of them.
_OLDEST_FIRST: Final = {"sortBy": "createdAt", "sortOrder": "asc"}


class WorkerClient(Protocol):
    """What is needed of ``worker.client.Client``."""

    async def command(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]: ...

    async def query(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]: ...

    async def query_all(self, verb: str, payload: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a planned change.

    ``rule`` is the worker's view after the last command that was done for it, ``failed`` the verb that was not, with
    its ``error``. Neither: the change was not sent, because no worker answered one before it.
    """

    planned: PlannedRule
    rule: dict[str, Any] | None = None
    failed: str | None = None
    error: RulestreamError | None = None

    @property
    def is_done(self) -> bool:
        return self.rule is not None and self.failed is None


async def read_known(client: WorkerClient, sources: Sequence[RuleSource]) -> KnownRules:
    """Ask for every rule that a file names, by its id and by its name, and for the list of all rules."""
    rules: dict[RuleId, StoredRule] = {}
    ids = {source.rule_id for source in sources if source.rule_id is not None}
    for view in await _views(client, [{"ruleId": rule_id.value} for rule_id in sorted(ids)]):
        rules[RuleId(view.rule_id)] = _stored(view)
    holders = {rule.content.name: rule_id for rule_id, rule in rules.items()}
    names = sorted({source.content.name for source in sources} - holders.keys())
    asked = [{"name": name} for name in names]
    for name, found in zip(names, await _each_view(client, asked), strict=True):
        if found is not None:
            rule = rules.setdefault(RuleId(found.rule_id), _stored(found))
            holders[name] = rule.rule_id
    page = await client.query_all("list", _OLDEST_FIRST)
    return KnownRules(rules, holders, msgspec.convert(page["items"], list[RuleSummary]))


async def send_changes(client: WorkerClient, plan: Plan, *, submit: bool = False) -> AsyncIterator[Outcome]:
    """Send a plan's changes one after the other, and tell what became of each.

    A refusal is that rule's alone and the others are sent; once no worker answers, the rest is told as not sent.
    ``submit`` also asks for approval of what was created or updated.
    """
    is_away = False
    for planned in plan.changes:
        if is_away:
            yield Outcome(planned)
            continue
        outcome = await _send(client, planned, submit=submit)
        is_away = isinstance(outcome.error, UnavailableError)
        yield outcome


async def read_rules_to_export(
    client: WorkerClient, criteria: dict[str, Any], *, active: bool = False
) -> tuple[list[ExportedRule], int]:
    """Ask for the rules that meet the criteria of query ``list``, in their latest version or in the deciding one.

    Of a rule without the version asked for, and of one deleted meanwhile, there is none. Rules in status DEPRECATED are
    left out unless the criteria name a status; how many is the second result. The rules are in the order of names.
    """
    page = await client.query_all("list", {**criteria, **_OLDEST_FIRST})
    found = msgspec.convert(page["items"], list[RuleSummary])
    listed = [rule for rule in found if "status" in criteria or rule.status != RuleStatus.DEPRECATED]
    ids = dict.fromkeys(rule.rule_id for rule in listed if rule.active_version is not None or not active)
    views = await _views(client, [{"ruleId": rule_id} for rule_id in ids])
    contents: list[tuple[RuleView, RuleContent]] = []
    for view in views:
        if not active or view.active_version == view.version:
            contents.append((view, content_of(view)))
        elif view.active_version is not None:
            contents.append((view, content_of(await version_of(client, view.rule_id, view.active_version))))
    exported = (ExportedRule(RuleId(view.rule_id), view.created_at, content) for view, content in contents)
    return sorted(exported, key=lambda rule: (rule.content.name, rule.rule_id)), len(found) - len(listed)


async def version_of(client: WorkerClient, rule_id: str, number: int) -> VersionView:
    """Ask for one version of a rule; raises RemoteError (NOT_FOUND) where it has none of this number."""
    offset: int | None = 0
    while offset is not None:
        page = await client.query("versions", {"ruleId": rule_id, "pageSize": 500, "pageOffset": offset})
        for version in msgspec.convert(page["items"], list[VersionView]):
            if version.version == number:
                return version
        offset = page.get("nextOffset")
    raise RemoteError(ErrorCode.NOT_FOUND.value, "no such version", {"ruleId": rule_id, "version": number})


async def _send(client: WorkerClient, planned: PlannedRule, *, submit: bool) -> Outcome:
    rule: dict[str, Any] | None = None
    verb = planned.action.value
    try:
        rule = await client.command(verb, planned.payload)
        if submit:
            verb = "submit"
            rule = await client.command(verb, {"ruleId": rule["ruleId"], "expectedVersion": rule["version"]})
    except RulestreamError as error:
        return Outcome(planned, rule, verb, error)
    return Outcome(planned, rule)


async def _views(client: WorkerClient, targets: Iterable[dict[str, Any]]) -> list[RuleView]:
    return [view for view in await _each_view(client, targets) if view is not None]


async def _each_view(client: WorkerClient, targets: Iterable[dict[str, Any]]) -> list[RuleView | None]:
    """Ask for rules, some at once; None for one that there is not."""
    places = asyncio.Semaphore(QUERIES_AT_ONCE)

    async def view(target: dict[str, Any]) -> RuleView | None:
        async with places:
            try:
                return msgspec.convert(await client.query("get", target), RuleView)
            except RulestreamError as error:
                if error.code is not ErrorCode.NOT_FOUND:
                    raise
                return None

    return await asyncio.gather(*map(view, targets))


def _stored(view: RuleView) -> StoredRule:
    return StoredRule(
        RuleId(view.rule_id), view.version, view.active_version, RuleStatus(view.status), content_of(view)
    )


def content_of(view: RuleView | VersionView) -> RuleContent:
    """Return the content of a rule or of one of its versions, of which the worker holds that it is well."""
    start, end = view.effective_from, view.effective_until
    return RuleContent(
        view.name,
        view.dsl_content,
        Priority(view.priority),
        view.description,
        tuple(view.tags),
        None if start is None else parse_moment(start),
        None if end is None else parse_moment(end),
    )
