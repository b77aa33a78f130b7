"""The query explain: why rules applied to a fact, or did not.

A decision is explained from what is kept of it: the fact, in its stream or stored with the decision, and the ruleset of
its revision, whose digest is checked. Evaluating and making trees is done in a thread, for one question at a time, so
that the worker's facts do not wait for it; texts are compiled by the compiler.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from domain.decisions.explain import Explanation, explain_decision
from domain.decisions.fact import Fact
from domain.decisions.ruleset import ActiveRule, BoundRule, Ruleset, RulesetState, bind
from domain.errors import MissingParameterError, NotFoundError, ValidationError
from domain.identifiers import RuleId, fact_key, is_dotted_name, is_fact_id, parse_decision_id
from domain.language import parse_timestamp
from domain.ports import DecisionStore, DslCompiler, FactReader, RulesetSource, StoredDecision, Transactions
from domain.rules.content import Priority
from streams.facts.intake import FACT_BYTES_MAX, DeadReason, Refused, decode_object
from streams.facts.reader import DecidedFacts
from streams.messages.bounds import VERSION_MAX
from streams.messages.explanations import encode_explanation
from streams.messages.queries import ExplainDecision
from worker.usecases.paging import filled_page, require_page

# Rulesets of earlier revisions that are kept compiled, and how long a page is worked on before it ends early.
RULESETS_MAX: Final = 4
PAGE_SECONDS_MAX: Final = 3.0

_NOT_WITH_A_DECISION: Final = {
    "version": "version",
    "dslContent": "dsl_content",
    "fact": "fact",
    "factType": "fact_type",
    "factId": "fact_id",
    "factTime": "fact_time",
    "decision": "decision",
}


class _Ruleset(msgspec.Struct):
    digest: str


class _Decided(msgspec.Struct):
    ruleset: _Ruleset


_DECIDED: Final = msgspec.json.Decoder(_Decided)


class DecisionExplainer:
    """Explains stored decisions, and single rules on facts that are given."""

    def __init__(
        self,
        transactions: Transactions,
        decisions: DecisionStore,
        facts: FactReader,
        rulesets: RulesetSource,
        compiler: DslCompiler,
        fact_bytes_max: int = FACT_BYTES_MAX,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._decisions = decisions
        self._facts = DecidedFacts(facts)
        self._rulesets = rulesets
        self._compiler = compiler
        self._fact_bytes_max = fact_bytes_max
        self._now = now
        self._turn = asyncio.Lock()
        self._recent: OrderedDict[RulesetState, Ruleset] = OrderedDict()

    async def explain(self, query: ExplainDecision) -> dict[str, Any]:
        """Answer the query; raises NotFoundError, ValidationError, MissingParameterError, UnavailableError."""
        require_page(query.page_size, query.page_offset)
        if query.rule_id is not None and query.name is not None:
            raise ValidationError("a rule is named by ruleId or by name, not by both", field="name")
        if query.decision_id is not None:
            return await self._of_decision(query, query.decision_id)
        return await self._of_rule(query)

    async def _of_decision(self, query: ExplainDecision, decision_id: str) -> dict[str, Any]:
        for field, attribute in _NOT_WITH_A_DECISION.items():
            value = getattr(query, attribute)
            if value is not None and value is not msgspec.UNSET:
                raise ValidationError(f"{field} does not go with decisionId", field=field)
        stored = await self._decisions.find(parse_decision_id(decision_id))
        if stored is None:
            raise NotFoundError("no such decision", decisionId=decision_id)
        fact = await self._facts.find(stored)
        if fact is None:
            raise NotFoundError(
                "the fact is no longer in its stream",
                decisionId=decision_id,
                factId=stored.fact_id,
                factSeq=stored.sequence,
            )
        async with self._turn:
            ruleset = await self._ruleset_of(stored)
            rule_ids = _named(ruleset, query)
            page = await asyncio.to_thread(self._page, query, ruleset, fact, rule_ids, None)
        return {
            "decisionId": stored.key.hex(),
            "factId": fact.id,
            "factType": fact.type,
            "ruleset": {"revision": ruleset.revision, "digest": ruleset.digest.hex()},
            **page,
        }

    async def _of_rule(self, query: ExplainDecision) -> dict[str, Any]:
        is_stored = query.rule_id is not None or query.name is not None
        if not is_stored and query.dsl_content is None:
            raise MissingParameterError("decisionId, ruleId, name or dslContent is required", field="decisionId")
        if is_stored and query.dsl_content is not None:
            raise ValidationError("dslContent stands in place of a rule's id or name", field="dslContent")
        if query.dsl_content is not None and query.version is not None:
            raise ValidationError("version does not go with dslContent", field="version")
        if query.fact is msgspec.UNSET:
            raise MissingParameterError("fact is required", field="fact")
        payload = self._object("fact", query.fact)
        decision = {} if query.decision is msgspec.UNSET else self._object("decision", query.decision)
        rule = await (self._text(query.dsl_content) if query.dsl_content is not None else self._version(query))
        fact = _given_fact(query, payload, rule)
        async with self._turn:
            page = await asyncio.to_thread(self._page, query, Ruleset(0, [rule]), fact, [rule.rule_id], decision)
        return {"factId": fact.id, "factType": fact.type, **page}

    def _page(
        self,
        query: ExplainDecision,
        ruleset: Ruleset,
        fact: Fact,
        rule_ids: Collection[str] | None,
        decision: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        until = self._now() + PAGE_SECONDS_MAX
        found = explain_decision(ruleset, fact, rule_ids, decision)
        chosen = found[query.page_offset : query.page_offset + query.page_size]
        return filled_page(self._items(chosen, until), len(found), query.page_offset)

    def _items(self, explanations: list[Explanation], until: float) -> Iterator[msgspec.Raw]:
        for number, explanation in enumerate(explanations):
            if number and self._now() > until:
                return
            yield msgspec.Raw(encode_explanation(explanation))

    async def _ruleset_of(self, stored: StoredDecision) -> Ruleset:
        """Return the ruleset that decided, compiled: the worker's own, a recent one, or made again."""
        state = RulesetState(stored.revision, bytes.fromhex(_DECIDED.decode(stored.body).ruleset.digest))
        ruleset = self._recent.get(state)
        if ruleset is None:
            async with self._transactions.begin() as tx:
                ruleset = await self._rulesets.snapshot(state, tx.active_rules)
            self._recent[state] = ruleset
            if len(self._recent) > RULESETS_MAX:
                self._recent.popitem(last=False)
        self._recent.move_to_end(state)
        return ruleset

    async def _version(self, query: ExplainDecision) -> BoundRule:
        """Return the version that is asked for: by its number, else the one that decides, else the latest."""
        async with self._transactions.begin() as tx:
            if query.rule_id is not None:
                rule = await tx.rules.find_by_id(RuleId.parse(query.rule_id))
            else:
                rule = await tx.rules.find_by_name(query.name or "")
            if rule is None:
                named = {"name": query.name} if query.rule_id is None else {"ruleId": query.rule_id}
                raise NotFoundError("no such rule", **named)
            if query.version is None:
                version = rule.active or rule.latest
            else:
                is_possible = 1 <= query.version <= VERSION_MAX
                numbered = await tx.rules.find_version(rule.id, query.version) if is_possible else None
                if numbered is None:
                    raise NotFoundError("no such version", ruleId=rule.id.value, version=query.version)
                version = numbered
        (compiled,) = await self._compiler.compile([version.content.dsl_content])
        active = ActiveRule(rule.id, version.number, version.content)
        return bind(active, active.digest, compiled)

    async def _text(self, source: str) -> BoundRule:
        (compiled,) = await self._compiler.compile([source])
        return BoundRule("", "", 0, Priority.MEDIUM, compiled, b"", None, None)

    def _object(self, field: str, raw: msgspec.Raw) -> dict[str, Any]:
        """Read a field as a fact is read; raises ValidationError."""
        data = bytes(raw)
        if len(data) > self._fact_bytes_max:
            reason, message = DeadReason.FACT_TOO_LARGE, f"a fact is at most {self._fact_bytes_max} bytes"
        else:
            found = decode_object(data)
            if not isinstance(found, Refused):
                return found
            reason, message = found.reason, found.message
        raise ValidationError(f"{field}: {message.replace('a fact is', 'must be')}", field=field, reason=reason.value)


def _named(ruleset: Ruleset, query: ExplainDecision) -> list[str] | None:
    """Return the id of the rule that is asked for, if one is."""
    if query.rule_id is not None:
        return [RuleId.parse(query.rule_id).value]
    if query.name is None:
        return None
    found = [rule.rule_id for rule in ruleset.rules if rule.name == query.name]
    if not found:
        raise NotFoundError("no such rule in the ruleset", name=query.name, revision=ruleset.revision)
    return found


def _given_fact(query: ExplainDecision, payload: dict[str, Any], rule: BoundRule) -> Fact:
    """Make a fact of what the sender gave; raises ValidationError."""
    fact_id = "given" if query.fact_id is None else query.fact_id
    if not is_fact_id(fact_id):
        raise ValidationError("factId is 1 to 256 bytes without control characters", field="factId")
    fact_type = _type_for(rule) if query.fact_type is None else query.fact_type
    if not is_dotted_name(fact_type):
        raise ValidationError("factType is 1 to 16 tokens of A-Z a-z 0-9 _ -, joined by dots", field="factType")
    time_ns = None
    if query.fact_time is not None:
        try:
            time_ns = parse_timestamp(query.fact_time).ns
        except ValueError as error:
            raise ValidationError(f"factTime: {error}", field="factTime") from None
    return Fact(fact_key("msg", "", fact_id), fact_id, fact_type, 0, time_ns, payload)


def _type_for(rule: BoundRule) -> str:
    """Return a fact type that a rule's ``on`` takes."""
    types = rule.compiled.fact_types
    return types[0].replace("*", "any").replace(">", "any") if types else "fact"
