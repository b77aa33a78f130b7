"""What the flight rules have to decide, worked out in plain Python from what each rule means.

Nothing of the project is imported: this is the other witness. One small function a rule, in the order of priority and
name, says what the rule contributes to one fact's decision, or nothing. A field that a flight does not have raises
``KeyError``; the rule then does not apply, which is the language's *missing*.

``expected(fact)`` gives the decision of one fact (the envelope ``{"id", "type", "time", "data"}``), ``counts(facts)``
how many facts each rule matched with its ``then`` branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Fact = dict[str, Any]

COMPLETED = "flight.completed"
CANCELLED = "flight.cancelled"
EITHER = (COMPLETED, CANCELLED)
REGIONAL = {"9E", "EV", "MQ", "OO", "YV"}


@dataclass(frozen=True, slots=True)
class Branch:
    """What one rule contributes: its branch, and its actions as (what, where, value)."""

    name: str
    actions: tuple[tuple[str, str, Any], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, its priority, the fact types it is for, and what it decides."""

    name: str
    priority: str
    fact_types: tuple[str, ...]
    decide: Callable[[Fact], Branch | None]


RULES: list[Rule] = []


def rule(name: str, priority: str, *fact_types: str) -> Callable[[Callable[[Fact], Branch | None]], None]:
    """Enter the decorated function in the table of rules."""

    def enter(decide: Callable[[Fact], Branch | None]) -> None:
        RULES.append(Rule(name, priority, fact_types, decide))

    return enter


def then(*actions: tuple[str, str, Any]) -> Branch:
    """Contribute what follows when the condition holds."""
    return Branch("then", actions)


def otherwise(*actions: tuple[str, str, Any]) -> Branch:
    """Contribute what follows when it does not."""
    return Branch("else", actions)


def put(path: str, value: Any) -> tuple[str, str, Any]:
    """Set a path: over all rules, the first one wins."""
    return ("set", path, value)


def add(path: str, value: float) -> tuple[str, str, Any]:
    """Add to a path: a sum over all rules."""
    return ("add", path, value)


def append(path: str, value: Any) -> tuple[str, str, Any]:
    """Append to a path: a list over all rules."""
    return ("append", path, value)


def emit(name: str, **payload: Any) -> tuple[str, str, Any]:
    """Publish an effect."""
    return ("emit", name, payload)


def departure_hour(data: dict[str, Any]) -> int:
    """Read the hour of the scheduled departure on the airport's clock."""
    return int(data["schedule"]["departure"].split("T")[1][:2])


# --- CRITICAL ---------------------------------------------------------------------------------------------------------


@rule("diverted-flight", "CRITICAL", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["diverted"]:
        return then(
            put("status.label", "diverted"),
            put("care.action", "meet at the other airport"),
            emit("ops.alert", flight=fact["id"], kind="diverted", destination=data["route"]["destination"]),
        )
    return None


@rule("severe-delay-alert", "CRITICAL", COMPLETED)
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


@rule("cancellation-evening-hotel", "HIGH", CANCELLED)
def _(fact: Fact) -> Branch | None:
    if departure_hour(fact["data"]) >= 18:
        airport = fact["data"]["route"]["origin"]
        return then(
            put("care.hotel", True),
            append("care.notes", f"hotel near {airport}"),
            emit("care.hotel", flight=fact["id"], airport=airport),
        )
    return otherwise(put("care.hotel", False))


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
        return then(put("care.compensationUsd", 600), append("care.notes", "long-haul compensation"))
    return None


@rule("compensation-winter-waiver", "HIGH", CANCELLED)
def _(fact: Fact) -> Branch | None:
    weather = fact["data"]["weather"]
    frost = weather["tempF"] <= 32
    snow = weather.get("precipInches", 0) > 0 or weather.get("visibilityMiles", 10) < 3
    if frost and snow:
        return then(put("care.compensationUsd", 0), append("care.notes", "no compensation: winter weather"))
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
    return then(put("care.compensationUsd", 200 + fact["data"]["route"]["distanceMiles"] * 0.1))


@rule("compensation-delay", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["delay"]["arrivalMinutes"] >= 180:
        return then(
            put("care.compensationUsd", 400 if data["route"]["distanceMiles"] >= 750 else 250),
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


@rule("regional-claims", "MEDIUM", *EITHER)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["carrier"]["code"] not in REGIONAL:
        return None
    if fact["type"] == CANCELLED or data["delay"]["arrivalMinutes"] >= 180:
        return then(put("care.claimsTo", "the airline that sold the ticket"))
    return None


@rule("rotation-risk", "MEDIUM", COMPLETED)
def _(fact: Fact) -> Branch | None:
    data = fact["data"]
    if data["delay"]["arrivalMinutes"] >= 60 and data["route"]["distanceMiles"] <= 750:
        return then(add("risk.points", 2), append("risk.notes", f"next flights of {data['tailNumber']}"))
    return None


@rule("weather-deicing", "MEDIUM", *EITHER)
def _(fact: Fact) -> Branch | None:
    weather = fact["data"]["weather"]
    if weather["tempF"] <= 32 and weather["precipInches"] > 0:
        return then(append("cause.notes", f"de-icing at {fact['data']['route']['origin']}"), add("risk.points", 1))
    return None


@rule("weather-departure", "MEDIUM", *EITHER)
def _(fact: Fact) -> Branch | None:
    weather = fact["data"]["weather"]
    fog = weather.get("visibilityMiles", 10) < 1
    gale = weather.get("windMph", 0) >= 25
    if fog or gale:
        return then(append("cause.notes", f"bad weather at {fact['data']['route']['origin']}"))
    return None


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
    matched = [(each, branch) for each in RULES if (branch := applied(each, fact)) is not None]
    return {
        "outcome": "matched" if any(branch.name == "then" for _, branch in matched) else "unmatched",
        "output": merged(action for _, branch in matched for action in branch.actions),
        "matches": [
            {"name": each.name, "priority": each.priority, "branch": branch.name, "output": merged(branch.actions)}
            for each, branch in matched
        ],
        "effects": [
            {"name": where, "payload": value}
            for _, branch in matched
            for what, where, value in branch.actions
            if what == "emit"
        ],
    }


def counts(facts: Sequence[Fact]) -> dict[str, int]:
    """Count, for each rule by name, the facts that it matches with its ``then`` branch."""
    return {each.name: count(each, facts) for each in RULES}


def count(each: Rule, facts: Iterable[Fact]) -> int:
    """Count the facts that one rule matches with its ``then`` branch."""
    branches = (applied(each, fact) for fact in facts)
    return sum(branch is not None and branch.name == "then" for branch in branches)


def applied(each: Rule, fact: Fact) -> Branch | None:
    """Give what one rule contributes to one fact; nothing where a field it needs is absent."""
    if fact["type"] not in each.fact_types:
        return None
    try:
        return each.decide(fact)
    except KeyError:
        return None


def merged(actions: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
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
