"""The query simulate: what rules would decide, alone or beside the active ones, with nothing published or stored.

The texts are compiled by the compiler. Deciding and making traces is done in a thread, for one question at a time, so
that the worker's facts do not wait for it; a page that takes long ends early.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from domain.decisions.engine import decide
from domain.decisions.explain import explain_decision
from domain.decisions.fact import Fact
from domain.decisions.order import require_no_conflict
from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, RulesetState, bind
from domain.errors import MissingParameterError, NotFoundError, ValidationError
from domain.identifiers import RuleId, fact_key, is_dotted_name
from domain.ports import DslCompiler, RulesetSource, Transactions
from domain.rules.content import Priority, RuleContent
from streams.facts.intake import FACT_BYTES_MAX, DeadReason
from streams.messages.bounds import (
    PAGE_BYTES_MAX,
    SIMULATED_FACTS_BYTES_MAX,
    SIMULATED_FACTS_MAX,
    SIMULATED_RULES_MAX,
)
from streams.messages.explanations import encode_explanation
from streams.messages.queries import SimulateRules
from streams.messages.simulations import SimulationBody, encode_simulated
from worker.files.facts import NO_TYPE, FactProblem, read_fact
from worker.usecases.paging import filled_page, require_page

PAGE_SECONDS_MAX: Final = 3.0
CANDIDATE: Final = "candidate"

# What an item has beside its decision, effects and trace.
_ITEM_ROOM_BYTES: Final = 2048


@dataclass(frozen=True, slots=True)
class _Trial:
    """The rules to decide by: those under trial and, where they are tried beside them, the active ones."""

    ruleset: Ruleset
    candidates: frozenset[str]
    active: RulesetState | None


class RuleSimulator:
    """Decides given facts by rules that need not be active, and explains the decisions."""

    def __init__(
        self,
        transactions: Transactions,
        rulesets: RulesetSource,
        compiler: DslCompiler,
        fact_bytes_max: int = FACT_BYTES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._rulesets = rulesets
        self._compiler = compiler
        self._fact_bytes_max = fact_bytes_max
        self._now = now
        self._turn = asyncio.Lock()

    async def simulate(self, query: SimulateRules) -> dict[str, Any]:
        """Answer the query.

        Raises NotFoundError, ValidationError, MissingParameterError, BusinessError (the rules cannot stand together, or
        beside the active ones), UnavailableError.
        """
        require_page(query.page_size, query.page_offset)
        _require_rules(query)
        async with self._turn:
            facts = await asyncio.to_thread(self._facts, query)
            active, rules = await self._rules(query)
            return await asyncio.to_thread(self._page, query, facts, rules, active)

    async def _rules(self, query: SimulateRules) -> tuple[Ruleset | None, list[BoundRule]]:
        """Return the active ruleset, where it is asked for, and the rules under trial, compiled."""
        active: Ruleset | None = None
        wanted: list[ActiveRule] = []
        async with self._transactions.begin() as tx:
            if query.with_active:
                active = await self._rulesets.snapshot(await tx.active_rules.state(), tx.active_rules)
            for rule_id in query.rule_ids or ():
                rule = await tx.rules.find_by_id(RuleId.parse(rule_id))
                if rule is None:
                    raise NotFoundError("no such rule", ruleId=rule_id)
                wanted.append(ActiveRule(rule.id, rule.version, rule.content))
        if query.dsl_content is not None:
            return active, [await self._text(query, query.dsl_content, active)]
        compiled = await self._compiler.compile([rule.content.dsl_content for rule in wanted])
        return active, [bind(rule, rule.digest, one) for rule, one in zip(wanted, compiled, strict=True)]

    async def _text(self, query: SimulateRules, source: str, active: Ruleset | None) -> BoundRule:
        name = CANDIDATE if query.name is None else query.name
        content = RuleContent.checked(name=name, dsl_content=source, priority=(query.priority or Priority.MEDIUM).value)
        (compiled,) = await self._compiler.compile([source])
        candidate = ActiveRule(RuleId.for_name(content.name), 0, content)
        bound = bind(candidate, candidate.digest, compiled)
        for rule in () if active is None else active.rules:
            if rule.name == content.name:
                return replace(
                    bound,
                    rule_id=rule.rule_id,
                    priority=query.priority or rule.priority,
                    from_ns=rule.from_ns,
                    until_ns=rule.until_ns,
                )
        return bound

    def _facts(self, query: SimulateRules) -> list[Fact]:
        """Read the facts that are given; raises ValidationError for the first that is none."""
        if len(query.facts) > SIMULATED_FACTS_MAX:
            raise ValidationError(f"at most {SIMULATED_FACTS_MAX} facts are decided at a time", field="facts")
        if sum(len(bytes(raw)) for raw in query.facts) > SIMULATED_FACTS_BYTES_MAX:
            raise ValidationError(f"the facts are at most {SIMULATED_FACTS_BYTES_MAX} bytes together", field="facts")
        return [self._fact(index, bytes(raw), query.fact_type) for index, raw in enumerate(query.facts)]

    def _fact(self, index: int, data: bytes, fact_type: str | None) -> Fact:
        found = read_fact(index + 1, data, fact_type)
        if not isinstance(found, FactProblem) and len(found.data) > self._fact_bytes_max:
            found = FactProblem(index + 1, DeadReason.FACT_TOO_LARGE, f"a fact is at most {self._fact_bytes_max} bytes")
        if isinstance(found, FactProblem):
            message = "no type is given: factType, or type beside data" if found.code == NO_TYPE else found.message
            field = f"facts[{index}]"
            raise ValidationError(f"{field}: {message}", field=field, reason=str(found.code))
        fact_id = f"given:{found.line}" if found.id is None else found.id
        return Fact(fact_key("msg", "", fact_id), fact_id, found.type, found.line, found.time_ns, found.payload)

    def _page(
        self,
        query: SimulateRules,
        facts: Sequence[Fact],
        rules: Sequence[BoundRule],
        active: Ruleset | None,
    ) -> dict[str, Any]:
        until = self._now() + PAGE_SECONDS_MAX
        candidates = frozenset(rule.rule_id for rule in rules)
        state, company = (None, ()) if active is None else (active.state, active.rules)
        together = [rule for rule in company if rule.rule_id not in candidates]
        for rule in rules:
            require_no_conflict(rule, together)
            together.append(rule)
        trial = _Trial(Ruleset(0, together), candidates, state)
        chosen = facts[query.page_offset : query.page_offset + query.page_size]
        return filled_page(self._items(trial, chosen, until), len(facts), query.page_offset)

    def _items(self, trial: _Trial, facts: Sequence[Fact], until: float) -> Iterator[SimulationBody]:
        for number, fact in enumerate(facts):
            if number and self._now() > until:
                return
            yield self._item(trial, fact, until)

    def _item(self, trial: _Trial, fact: Fact, until: float) -> SimulationBody:
        effects: tuple[bytes, ...] = ()
        decision, problem = None, None
        room = PAGE_BYTES_MAX - _ITEM_ROOM_BYTES
        try:
            decision, effects = encode_simulated(decide(trial.ruleset, fact), trial.active)
        except ValueError as error:
            problem = f"not-json: {str(error)[:200]}"
        spent = len(decision or b"") + sum(map(len, effects))
        if spent > room:
            problem = f"{DeadReason.DECISION_TOO_LARGE.value}: the decision and its effects have {spent} bytes"
            decision, effects, spent = None, (), 0
        trace, omitted = self._trace(trial, fact, room - spent, until)
        return SimulationBody(
            fact_id=fact.id,
            decision=None if decision is None else msgspec.Raw(decision),
            effects=tuple(msgspec.Raw(payload) for payload in effects),
            problem=problem,
            trace=trace,
            trace_omitted=omitted,
        )

    def _trace(self, trial: _Trial, fact: Fact, room: int, until: float) -> tuple[list[msgspec.Raw], int]:
        """Explain the rules under trial, then the others that the fact meets, as far as room and time go."""
        met = {rule.rule_id for rule in trial.ruleset.plan(fact.type).rules}
        found = explain_decision(trial.ruleset, fact, met | trial.candidates)
        found.sort(key=lambda one: one.rule.rule_id not in trial.candidates)
        trace: list[msgspec.Raw] = []
        for explanation in found:
            if trace and self._now() > until:
                break
            data = encode_explanation(explanation, room)
            if len(data) >= room:
                break
            room -= len(data) + 1
            trace.append(msgspec.Raw(data))
        return trace, len(found) - len(trace)


def _require_rules(query: SimulateRules) -> None:
    """Refuse a question that does not say which rules to try, or says it twice."""
    if query.dsl_content is None and query.rule_ids is None:
        raise MissingParameterError("dslContent or ruleIds is required", field="dslContent")
    if query.rule_ids is not None:
        for field, value in (("dslContent", query.dsl_content), ("name", query.name), ("priority", query.priority)):
            if value is not None:
                raise ValidationError(f"{field} does not go with ruleIds", field=field)
        if not 1 <= len(query.rule_ids) <= SIMULATED_RULES_MAX:
            raise ValidationError(f"ruleIds are 1 to {SIMULATED_RULES_MAX}", field="ruleIds")
        if len({RuleId.parse(text) for text in query.rule_ids}) < len(query.rule_ids):
            raise ValidationError("ruleIds are distinct", field="ruleIds")
    if query.fact_type is not None and not is_dotted_name(query.fact_type):
        raise ValidationError("factType is 1 to 16 tokens of A-Z a-z 0-9 _ -, joined by dots", field="factType")
