"""The flight facts: what they must hold for everything that is measured and compared on them to mean something."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections import Counter
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"

# Of the unpacked lines: the packed bytes also depend on the build of zlib. Changes when the facts do, on purpose only.
LINES_SHA256 = "b7522e6e7d121d6475a2d71acf3ab86f4b5bc622d8a2475e5f79f37b5fede19d"


@pytest.fixture
def lines(flights) -> bytes:
    return flights.lines


@pytest.fixture
def facts(flights) -> list[dict[str, Any]]:
    return flights.facts


def load_make_facts():
    spec = importlib.util.spec_from_file_location("make_facts", FLIGHTS / "make_facts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_facts_are_the_recorded_ones(lines):
    assert hashlib.sha256(lines).hexdigest() == LINES_SHA256


def test_the_script_makes_the_same_facts_where_the_data_package_is_installed(lines):
    """Elsewhere the recorded digest, checked above, stands for it; a wrong version of the package fails."""
    make_facts = load_make_facts()
    if importlib.util.find_spec(make_facts.PACKAGE) is None:
        with pytest.raises(PackageNotFoundError):
            make_facts.find_source()
        return
    assert make_facts.make_lines(make_facts.find_source()) == lines


def test_the_packed_file_carries_no_time_of_packing():
    assert (FLIGHTS / "facts.ndjson.gz").read_bytes()[4:8] == bytes(4)


def test_there_are_at_least_20000_facts_of_both_types(facts):
    types = Counter(fact["type"] for fact in facts)

    assert len(facts) >= 20_000
    assert set(types) == {"flight.completed", "flight.cancelled"}
    assert types["flight.cancelled"] >= 2_000


def test_every_line_is_an_envelope(facts):
    assert all(list(fact) == ["id", "type", "time", "data"] for fact in facts)
    assert all(isinstance(fact["data"], dict) for fact in facts)


def test_ids_are_unique_and_fit_a_message_header(facts):
    ids = [fact["id"] for fact in facts]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,64}", each) for each in ids)


def test_times_are_rfc_3339_in_utc_and_sorted(facts):
    times = [fact["time"] for fact in facts]

    assert times == sorted(times)
    assert all(re.fullmatch(r"2013-\d\d-\d\dT\d\d:\d\d:\d\dZ", each) for each in times)


def test_a_completed_flight_has_its_scheduled_arrival_and_delay_for_time(facts):
    checked = 0
    for fact in facts:
        delay = fact["data"].get("delay", {}).get("arrivalMinutes")
        if delay is None:
            continue
        arrival = datetime.fromisoformat(fact["data"]["schedule"]["arrival"])
        assert (datetime.fromisoformat(fact["time"]) - arrival).total_seconds() == delay * 60, fact["id"]
        checked += 1
    assert checked > 20_000


def test_no_field_is_null_or_empty(facts):
    def leaves(value):
        if isinstance(value, dict):
            assert value
            for each in value.values():
                yield from leaves(each)
        else:
            yield value

    assert all(leaf not in (None, "", "NA") for fact in facts for leaf in leaves(fact["data"]))


def test_a_cancelled_flight_has_no_delay_and_a_diverted_one_no_arrival_delay(facts):
    cancelled = [fact["data"] for fact in facts if fact["type"] == "flight.cancelled"]
    diverted = [fact["data"] for fact in facts if "diverted" in fact["data"]]

    assert all("delay" not in data and "airTimeMinutes" not in data["route"] for data in cancelled)
    assert diverted
    assert all(data["diverted"] is True and list(data["delay"]) == ["departureMinutes"] for data in diverted)


def test_the_packed_file_stays_small_enough_for_the_repository():
    assert (FLIGHTS / "facts.ndjson.gz").stat().st_size < 1_500_000
