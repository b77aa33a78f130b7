"""What the flight rules have to decide, worked out in plain Python from what each rule means.

Nothing of the project is imported: this is the other witness. One small function a rule, in the order of priority and
name, says what the rule contributes to one fact's decision, or nothing. A field that a flight does not have raises
``KeyError``; the rule then does not apply, which is the language's *missing*. A rule that builds on what the others
decided is entered with ``reader``, and is given the merged output of those that do not.

``expected(fact)`` gives the decision of one fact (the envelope ``{"id", "type", "time", "data"}``), ``counts(facts)``
how many facts each rule matched with its ``then`` branch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Fact = dict[str, Any]
Action = tuple[str, str, Any]

COMPLETED = "flight.completed"
CANCELLED = "flight.cancelled"
EITHER = (COMPLETED, CANCELLED)
REGIONAL = {"9E", "EV", "MQ", "OO", "YV"}


@dataclass(frozen=True, slots=True)
class Branch:
    """What one rule contributes: its branch, its actions as (what, where, value), and of a table the rows.

    ``stops`` says that rules of a lower priority are not considered for this fact.
    """

    name: str
    actions: tuple[Action, ...]
    rows: tuple[int, ...] = ()
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, its priority, the fact types it is for, and what it decides.

    ``decide`` takes the fact, and where ``is_reader`` also what the rules that are no readers decided.
    """

    name: str
    priority: str
    fact_types: tuple[str, ...]
    decide: Callable[..., Branch | None]
    is_reader: bool = False


RULES: list[Rule] = []


def rule(name: str, priority: str, *fact_types: str) -> Callable[[Callable[[Fact], Branch | None]], None]:
    """Enter the decorated function in the table of rules."""

    def enter(decide: Callable[[Fact], Branch | None]) -> None:
        RULES.append(Rule(name, priority, fact_types, decide))

    return enter


def reader(name: str, priority: str, *fact_types: str) -> Callable[[Callable[[Fact, Any], Branch | None]], None]:
    """Enter the decorated function in the table of rules, as one that builds on what the others decided."""

    def enter(decide: Callable[[Fact, Any], Branch | None]) -> None:
        RULES.append(Rule(name, priority, fact_types, decide, is_reader=True))

    return enter


def then(*actions: Action) -> Branch:
    """Contribute what follows when the condition holds."""
    return Branch("then", actions)


def then_stop(*actions: Action) -> Branch:
    """Contribute what follows when the condition holds, and leave rules of a lower priority out."""
    return Branch("then", actions, stops=True)


def otherwise(*actions: Action) -> Branch:
    """Contribute what follows when it does not."""
    return Branch("else", actions)


def row(number: int, *actions: Action) -> Branch:
    """Contribute what one row of a table gives."""
    return Branch("then", actions, rows=(number,))


def all_rows(rows: Sequence[Branch]) -> Branch | None:
    """Contribute what several rows of a table give, in their order; nothing where none matched."""
    if not rows:
        return None
    actions = tuple(action for each in rows for action in each.actions)
    return Branch("then", actions, rows=tuple(number for each in rows for number in each.rows))


def put(path: str, value: Any) -> Action:
    """Set a path: over all rules, the first one wins."""
    return ("set", path, value)


def add(path: str, value: float) -> Action:
    """Add to a path: a sum over all rules."""
    return ("add", path, value)


def append(path: str, value: Any) -> Action:
    """Append to a path: a list over all rules."""
    return ("append", path, value)


def emit(name: str, **payload: Any) -> Action:
    """Publish an effect."""
    return ("emit", name, payload)


def usd(amount: str) -> dict[str, str]:
    """Give an amount of money as a decision's JSON has it."""
    return {"amount": amount, "currency": "USD"}


def departure_hour(data: dict[str, Any]) -> int:
    """Read the hour of the scheduled departure on the airport's clock."""
    return int(data["schedule"]["departure"].split("T")[1][:2])


# --- CRITICAL ---------------------------------------------------------------------------------------------------------


@rule("diverted-flight", "CRITICAL", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["diverted"]:
        return then_stop(
            put("status.label", "diverted"),
            put("care.action", "meet at the other airport"),
            emit("ops.alert", flight=fact["id"], kind="diverted", destination=data["route"]["destination"]),
        )
    return None


# --- HIGH -------------------------------------------------------------------------------------------------------------


@rule("VIP desk", "HIGH", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    destination, late = data["route"]["destination"], data["delay"]["departureMinutes"]
    if destination in {"DCA", "IAD", "SFO", "SEA", "SNA"} and late >= 120:
        return then(
            append("care.notes", "the VIP desk calls"),
            emit("vip.call", flight=fact["id"], destination=destination, delayMinutes=late),
        )
    return None


@rule("cancellation-care", "HIGH", CANCELLED)
def _(fact: Fact) -> Branch | None:
    hour, airport = departure_hour(fact["data"]), fact["data"]["route"]["origin"]
    if hour < 11:
        return row(1, put("care.hotel", False))
    if hour < 18:
        return row(2, put("care.hotel", False), add("care.voucherUsd", 15))
    return row(
        3,
        put("care.hotel", True),
        add("care.voucherUsd", 25),
        append("care.notes", f"hotel near {airport}"),
        emit("care.hotel", flight=fact["id"], airport=airport),
    )


@rule("cancellation-large-aircraft", "HIGH", CANCELLED)
def _(fact: Fact) -> Branch | None:
    seats = fact["data"]["aircraft"]["seats"]
    if seats >= 250:
        return then(
            put("rebooking.seats", seats),
            emit("ops.alert", flight=fact["id"], kind="large aircraft cancelled", seats=seats),
        )
    return None


@rule("cancellation-rebooking", "HIGH", CANCELLED)
def _(fact: Fact) -> Branch | None:
    return then(
        put("status.label", "cancelled"),
        put("care.action", "rebook"),
        append("care.notes", f"rebook to {fact['data']['route']['destination']}"),
    )


@rule("compensation-long-haul", "HIGH", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["delay"]["arrivalMinutes"] >= 180 and data["route"]["distanceMiles"] >= 1500:
        return then(put("care.compensation", usd("600")), append("care.notes", "long-haul compensation"))
    return None


@rule("crew-duty-risk", "HIGH", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    duty = data["route"]["airTimeMinutes"] + data["delay"]["departureMinutes"]
    if duty >= 8 * 60:
        return then(
            add("risk.points", 3),
            emit("crew.relief", flight=fact["id"], airport=data["route"]["destination"], dutyMinutes=duty),
        )
    return None


@reader("risk-watch", "HIGH", *EITHER)
def _(fact: Fact, decision: Any) -> Branch | None:
    points = decision["risk"]["points"]
    if points >= 4:
        return then(put("risk.watch", True), emit("ops.watch", flight=fact["id"], points=points))
    return None


@rule("severe-delay-alert", "HIGH", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    late = data["delay"]["arrivalMinutes"]
    if late >= 5 * 60:
        return then(
            put("status.label", "severely late"),
            emit(
                "ops.alert",
                flight=fact["id"],
                kind="severe delay",
                carrier=data["carrier"]["name"],
                delayMinutes=late,
                delayHours=late / 60,
            ),
        )
    return None


# --- MEDIUM -----------------------------------------------------------------------------------------------------------


@rule("carrier-score-cancelled", "MEDIUM", CANCELLED)
def _(fact: Fact) -> Branch | None:
    return then(add("score.carrier", -10))


@rule("carrier-score-punctuality", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    punctual = fact["data"]["delay"]["arrivalMinutes"] <= 15
    return then(add("score.carrier", 1)) if punctual else otherwise(add("score.carrier", -1))


@rule("carrier-score-severe", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    return then(add("score.carrier", -5)) if fact["data"]["delay"]["arrivalMinutes"] >= 120 else None


@rule("compensation-cancellation", "MEDIUM", CANCELLED)
def _(fact: Fact) -> Branch | None:
    weather, miles = fact["data"]["weather"], fact["data"]["route"]["distanceMiles"]
    if weather.get("tempF", 99) <= 32 and weather.get("visibilityMiles", 10) < 3:
        why = "no compensation: winter weather"
        return row(1, put("care.compensation", usd("0")), append("care.notes", why))
    if miles >= 1500:
        return row(2, put("care.compensation", usd("600")), append("care.notes", "long-haul compensation"))
    if miles >= 750:
        return row(3, put("care.compensation", usd("400")))
    return row(4, put("care.compensation", usd("250")))


@rule("compensation-delay", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["delay"]["arrivalMinutes"] >= 180:
        return then(
            put("care.compensation", usd("400" if data["route"]["distanceMiles"] >= 750 else "250")),
            append("care.notes", f"compensation for {data['carrier']['name']} passengers"),
        )
    return None


@rule("meal-voucher", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    if fact["data"]["delay"]["departureMinutes"] >= 120:
        return then(put("care.meal", True), add("care.voucherUsd", 15))
    return None


@rule("meal-voucher-evening", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    if fact["data"]["delay"]["departureMinutes"] >= 120 and departure_hour(fact["data"]) >= 17:
        return then(add("care.voucherUsd", 10))
    return None


@reader("regional-claims", "MEDIUM", *EITHER)
def _(fact: Fact, decision: Any) -> Branch | None:
    if fact["data"]["carrier"]["code"] in REGIONAL and Decimal(decision["care"]["compensation"]["amount"]) > 0:
        return then(put("care.claimsTo", "the airline that sold the ticket"))
    return None


@rule("rotation-risk", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["delay"]["arrivalMinutes"] >= 60 and data["route"]["distanceMiles"] <= 750:
        return then(add("risk.points", 2), append("risk.notes", f"next flights of {data['tailNumber']}"))
    return None


@rule("weather-hazards", "MEDIUM", *EITHER)
def _(fact: Fact) -> Branch | None:
    weather, airport = fact["data"]["weather"], fact["data"]["route"]["origin"]
    hazards = {
        "fog": weather.get("visibilityMiles", 10) < 1,
        "gale": weather.get("windMph", 0) >= 25,
        "de-icing": weather.get("tempF", 99) <= 32 and weather.get("precipInches", 0) > 0,
    }
    return all_rows(
        [
            row(number, add("risk.points", 1), append("cause.notes", f"{hazard} at {airport}"))
            for number, (hazard, is_met) in enumerate(hazards.items(), start=1)
            if is_met
        ]
    )


# --- LOW --------------------------------------------------------------------------------------------------------------


@rule("aged-aircraft", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    aircraft = fact["data"]["aircraft"]
    if aircraft["year"] <= 1990:
        return then(append("fleet.notes", f"{aircraft['manufacturer'].lower()} {aircraft['model']}"))
    return None


@rule("carrier-score-recovery", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    delay = fact["data"]["delay"]
    made_up = delay["departureMinutes"] - delay["arrivalMinutes"]
    return then(add("score.carrier", 1)) if delay["departureMinutes"] > 0 and made_up >= 20 else None


@reader("cause-unexplained", "LOW", *EITHER)
def _(fact: Fact, decision: Any) -> Branch | None:
    is_explained = bool(decision.get("cause", {}).get("notes"))
    if decision["score"]["carrier"] <= -6 and not is_explained:
        return then(put("cause.askedOf", fact["data"]["carrier"]["name"]))
    return None


@rule("early-arrival", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    early = -fact["data"]["delay"]["arrivalMinutes"]
    return then(put("status.label", "early"), put("gate.minutesEarly", early)) if early >= 30 else None


@rule("fleet-long-body", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    aircraft = fact["data"]["aircraft"]
    airbus = aircraft["manufacturer"] in {"AIRBUS", "AIRBUS INDUSTRIE"}
    return then(put("gate.bridges", 2)) if airbus and aircraft["seats"] >= 200 else None


@rule("fleet-unknown", "LOW", *EITHER)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if "aircraft" in data:
        return None
    return then(
        append("fleet.notes", f"unknown aircraft {data['tailNumber']}" if "tailNumber" in data else "no tail number")
    )


@rule("haul-long", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    route = fact["data"]["route"]
    miles, minutes = route["distanceMiles"], route["airTimeMinutes"]
    return then(put("trip.haul", "long"), put("trip.averageMph", miles * 60 / minutes)) if miles >= 2000 else None


@rule("haul-short", "LOW", *EITHER)
def _(fact: Fact) -> Branch | None:
    route = fact["data"]["route"]
    if route["distanceMiles"] < 250:
        return then(put("trip.haul", "short"), put("trip.label", f"{route['origin']}-{route['destination']}"))
    return None


@rule("status-arrival", "LOW", COMPLETED)
def _(fact: Fact) -> Branch | None:
    punctual = fact["data"]["delay"]["arrivalMinutes"] <= 15
    return then(put("status.label", "on time")) if punctual else otherwise(put("status.label", "late"))


# --- what the rules give together -------------------------------------------------------------------------------------

PRIORITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
RULES.sort(key=lambda each: (PRIORITIES.index(each.priority), each.name))


def expected(fact: Fact) -> dict[str, Any]:
    """Give what a decision on this fact has to hold: outcome, matches in order, merged output and effects."""
    matched = matches(fact)
    return {
        "outcome": "matched" if any(branch.name == "then" for _, branch in matched) else "unmatched",
        "output": merged(action for _, branch in matched for action in branch.actions),
        "matches": [
            {
                "name": each.name,
                "priority": each.priority,
                "branch": branch.name,
                "output": merged(branch.actions),
                **({"rows": list(branch.rows)} if branch.rows else {}),
            }
            for each, branch in matched
        ],
        "effects": [
            {"name": where, "payload": value}
            for _, branch in matched
            for what, where, value in branch.actions
            if what == "emit"
        ],
    }


def matches(fact: Fact) -> list[tuple[Rule, Branch]]:
    """Give the rules that contribute to a fact's decision, and what, in the order of priority and name.

    Readers come last, for what they build on is complete then; no reader here builds on another.
    """
    found: dict[str, Branch] = {}
    lowest = len(PRIORITIES)
    for each in sorted(RULES, key=lambda each: each.is_reader):
        if PRIORITIES.index(each.priority) > lowest:
            continue
        given = (merged(in_order(found)),) if each.is_reader else ()
        branch = applied(each, fact, *given)
        if branch is not None:
            found[each.name] = branch
            if branch.stops:
                lowest = min(lowest, PRIORITIES.index(each.priority))
    return [(each, found[each.name]) for each in RULES if each.name in found]


def in_order(found: dict[str, Branch]) -> Iterable[Action]:
    """Give the actions of the rules that are no readers, in the order of priority and name."""
    return (
        action for each in RULES if each.name in found and not each.is_reader for action in found[each.name].actions
    )


def counts(facts: Sequence[Fact]) -> dict[str, int]:
    """Count, for each rule by name, the facts that it matches with its ``then`` branch."""
    seen = Counter(each.name for fact in facts for each, branch in matches(fact) if branch.name == "then")
    return {each.name: seen[each.name] for each in RULES}


def applied(each: Rule, fact: Fact, *decision: Any) -> Branch | None:
    """Give what one rule contributes to one fact; nothing where a field it needs is absent."""
    if fact["type"] not in each.fact_types:
        return None
    try:
        return each.decide(fact, *decision)
    except KeyError:
        return None


def merged(actions: Iterable[Action]) -> dict[str, Any]:
    """Merge actions in order: the first ``set`` of a path wins, ``add`` sums, ``append`` collects."""
    output: dict[str, Any] = {}
    for what, path, value in actions:
        if what == "emit":
            continue
        *parents, last = path.split(".")
        level = output
        for parent in parents:
            level = level.setdefault(parent, {})
        if what == "set":
            level.setdefault(last, value)
        elif what == "add":
            level[last] = level.get(last, 0) + value
        else:
            level.setdefault(last, []).append(value)
    return output
