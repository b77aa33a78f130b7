"""Fuzzing facts: ``python -m tests.fuzz.facts [RUNS] [libFuzzer options]``.

A message of any bytes and headers is a fact, whose decision has the contract's form and is the same again, or it is
refused with a reason. Any exception stops the run and leaves the input in a file.
"""

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["domain", "streams.facts", "streams.codec", "streams.messages"]):
    from domain.decisions.engine import decide
    from domain.decisions.ruleset import ActiveRule, Ruleset
    from domain.identifiers import RuleId
    from domain.language import compile_rule
    from domain.rules.content import Priority, RuleContent
    from streams.facts.intake import Accepted, Delivery, Refused, read_fact
    from streams.messages.decisions import encode_decision

from worker.files.rules import offline_ruleset, read_rules

ROOT = Path(__file__).parents[2] / "examples"
TYPES = ("order.placed", "order.amended", "flight.completed", "flight.cancelled", "any.type", "", "a..b", ">", "\x00")
NAMES = (
    "a", "b", "c", "d", "x", "y", "z", "xs", "customer", "tier", "order", "total", "items", "price", "qty", "carrier",
    "code", "name", "route", "origin", "destination", "distanceMiles", "delay", "arrivalMinutes", "departureMinutes",
    "weather", "tempF", "aircraft", "seats", "year", "schedule", "departure", "amount", "currency", "at", "payload", "",
)  # fmt: skip
TEXTS = (
    "VIP", "EUR", "10.10", "JFK", "2013-06-24T10:30:00-04:00", "9999-12-31T23:59:59.999999999Z", "a@b.c", "10.0.0.1",
    "\ud7ff", "\U0010ffff", "x" * 300, "-0", "1e400", "Europe/Berlin",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 0.1, -0.0, 5e-324, 1.7976931348623157e308, 10**400)
OTHERS = (
    "when 1 / a == 1 || b % c > 0 then set r = a + b else append c to notes",
    "let t = timestamp(at) when t > timestamp(0) then set h = t.getHours('America/New_York') set d = t - timestamp(0)",
    "when xs.exists(x, x.a == 1) && xs.map(x, x.b).sum() > 0 then add xs.size() to n emit e {'xs': xs}",
    "when string(a).matches('^[a-z]+$') || a.contains(b) then set s = a + b set f = '%s %d'.format([a, b])",
    "when has(a.b.c) && payload.x[y] == z then set m = {string(a): b}",
    "then set amount = money(order.price) + money('1', 'EUR')",
    "when decision.n > 2 || has(decision.r) then set late = decision",
    "table collect\n| a | b | add score |\n| > 1 | - | 1 |\n| 'x', null, true | _ in xs | 2 |\n",
    "then append decimal(a) to decimals append email(b) to mails append ip(c) to ips",
)


def _ruleset():
    rules = [*offline_ruleset(read_rules(ROOT / "orders" / "rules")).rules]
    rules += offline_ruleset(read_rules(ROOT / "flights" / "rules")).rules
    others = [
        ActiveRule(RuleId.for_name(f"other {n}"), 1, RuleContent(f"other {n}", text, Priority.LOW))
        for n, text in enumerate(OTHERS)
    ]
    return Ruleset(1, [*rules, *Ruleset.of(1, others, compile_rule).rules])


RULESET = _ruleset()


def value(provider, depth):
    """A JSON value, of the names and texts that rules ask for more often than not."""
    kind = provider.ConsumeIntInRange(0, 9 if depth < 5 else 6)
    if kind < 2:
        return TEXTS[provider.ConsumeIntInRange(0, len(TEXTS) - 1)]
    if kind < 4:
        return NUMBERS[provider.ConsumeIntInRange(0, len(NUMBERS) - 1)]
    if kind == 4:
        return (None, True, False)[provider.ConsumeIntInRange(0, 2)]
    if kind == 5:
        return provider.ConsumeUnicodeNoSurrogates(8)
    if kind == 6:
        return provider.ConsumeRegularFloat()
    if kind == 7:
        return [value(provider, depth + 1) for _ in range(provider.ConsumeIntInRange(0, 3))]
    return {
        NAMES[provider.ConsumeIntInRange(0, len(NAMES) - 1)]: value(provider, depth + 1)
        for _ in range(provider.ConsumeIntInRange(0, 6))
    }


def one_input(data):
    """Read one message and decide it twice."""
    provider = atheris.FuzzedDataProvider(data)
    fact_type = TYPES[provider.ConsumeIntInRange(0, len(TYPES) - 1)]
    headers = {}
    for name in ("Nats-Msg-Id", "ce-id", "ce-source", "ce-time", "content-type", "traceparent"):
        if provider.ConsumeIntInRange(0, 7) == 0:
            headers[name] = provider.ConsumeUnicodeNoSurrogates(40)
    if provider.ConsumeIntInRange(0, 3) == 0:
        body = provider.ConsumeBytes(400)
    else:
        body = json.dumps(value(provider, 0)).encode()
    delivery = Delivery(f"facts.{fact_type}", "reply", body, headers or None, "FACTS", 7, 1_700_000_000_000_000_000, 1)
    read = read_fact(delivery)
    if isinstance(read, Refused):
        assert read.message
        assert read_fact(delivery) == read
        return
    assert isinstance(read, Accepted)
    before = repr(read.fact.payload)
    decision = decide(RULESET, read.fact)
    written = encode_decision(decision, "2026-01-01T00:00:00Z")
    assert repr(read.fact.payload) == before, "a rule changes no fact"
    assert encode_decision(decide(RULESET, read.fact), "2026-01-01T00:00:00Z") == written, "decided the same again"
    told = json.loads(written)
    assert told["outcome"] in {"matched", "unmatched"}
    assert told["faultCount"] >= len(told["faults"])
    assert all(fault["code"] and fault["line"] >= 1 for fault in told["faults"])


if __name__ == "__main__":
    runs = sys.argv[1] if len(sys.argv) > 1 else "100000"
    # Inputs of any length from the first one on: short ones make no rule and no fact.
    lengths = ("-len_control=0", "-max_len=1024")
    atheris.Setup([sys.argv[0], f"-atheris_runs={runs}", *lengths, *sys.argv[2:]], one_input)
    atheris.Fuzz()
