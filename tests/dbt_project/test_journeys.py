"""Paths, lifecycles and what led to key events, of random histories, against plain Python."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from orchestration.settings import Settings
from orchestration.warehouse import run_dbt
from tests.conftest import write_lake
from tests.dbt_project.histories import Happened, Project, happened
from tests.oracles.attribution import (
    MODELS,
    KeyEvent,
    Visit,
    attribution,
    key_events,
    led_to,
    origin,
    paths,
    without_repeats,
)
from tests.oracles.behaviour import deduplicate, identify, local_date, sessionize
from tests.oracles.journeys import active_users, lifecycle, stickiness, transitions

START = datetime(2025, 2, 28, 16, 45)
ZONE = "Asia/Kathmandu"
LOOKBACK = 2
LENGTH = 3
KEY_EVENTS = ["purchase", "other"]
MARTS = [
    "path_transitions", "path_steps", "lifecycle", "stickiness", "active_users", "session_channels", "attribution",
    "conversion_paths", "paths_to_key_event", "paths_from_key_event",
]  # fmt: skip


# Only these are in the histories. A campaign without a medium is of no channel.
CHANNELS = {
    ("campaign", "news"): "Unassigned",
    ("site", "https://www.google.com/"): "Organic Search",
    ("site", "https://blog.example/a"): "Referral",
    ("nothing", None): "Direct",
}


@cache
def project() -> Project:
    return Project.parse(
        {
            "reporting_timezone": ZONE,
            "key_events": KEY_EVENTS,
            "paths": {"length": LENGTH},
            "attribution": {"lookback_days": LOOKBACK},
        }
    )


class Journeys:
    """One history, what is expected of it, and the marts built from it."""

    def __init__(self, history: list[Happened]) -> None:
        rows = [event.row(START) for event in history]
        known = {field.name for field in fields(Visit)}
        revenue = [None if row["revenue"] is None else Decimal(row["revenue"]) for row in rows]
        events = [
            Visit(**{**{name: row[name] for name in known & set(row)}, "revenue": money})
            for row, money in zip(rows, revenue, strict=True)
        ]
        self.events = identify(deduplicate(events))
        self.sessions = sessionize(self.events, timeout=timedelta(minutes=30))
        self._rows = rows

        self.channels = {id(session): CHANNELS[origin(session)] for session in self.sessions}
        self.key_events = key_events(self.sessions, names=KEY_EVENTS, page_views=["page_view"], length=LENGTH)

    def channels_to(self, key_event: KeyEvent) -> list[str]:
        led = led_to(key_event, self.sessions, timedelta(days=LOOKBACK))
        return [self.channels[id(session)] for session in led]

    def days(self) -> dict[str, set[date]]:
        days: dict[str, set[date]] = defaultdict(set)
        for event in self.events:
            days[event.user_key].add(local_date(event.event_ts, ZoneInfo(ZONE)))
        return days

    def built(self, root: Path) -> duckdb.DuckDBPyConnection:
        lake = Settings(data_dir=root, threads=1)
        write_lake(lake, pd.DataFrame(self._rows))
        run_dbt(
            ["run", "--no-write-json", "--select", *(f"+{mart}" for mart in MARTS)],
            lake,
            project().variables,
            parsed=project().parsed,
        )
        return duckdb.connect(str(lake.warehouse), read_only=True)


def by_key(marts: duckdb.DuckDBPyConnection, query: str, key: int) -> dict[Any, Any]:
    """Rows by their first columns; a key of one column is bare."""
    rows = marts.execute(query).fetchall()
    found = {row[:key] if key > 1 else row[0]: row[key:] if len(row) > key + 1 else row[key] for row in rows}
    assert len(found) == len(rows)
    return found


def paths_are_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    moves, steps = transitions(journeys.sessions, ["page_view"])
    query = "select from_step, to_step, transitions, users, median_seconds_between from marts.path_transitions"
    assert by_key(marts, query, 2) == moves
    assert by_key(marts, "select step, events, users, entries, exits from marts.path_steps", 1) == steps


def lifecycles_are_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    for grain in ("day", "week", "month"):
        found = by_key(marts, f"select period, state, users from marts.lifecycle where grain = '{grain}'", 2)
        assert found == lifecycle(journeys.days(), grain)


def stickiness_is_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    for grain in ("week", "month"):
        query = f"select period, active_days, users from marts.stickiness where grain = '{grain}'"
        assert by_key(marts, query, 2) == stickiness(journeys.days(), grain)
    query = "select activity_date, dau, wau, mau from marts.active_users"
    assert by_key(marts, query, 1) == active_users(journeys.days())


def channels_are_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    found = by_key(marts, "select user_key, started_at, channel from marts.session_channels", 2)
    assert found == {
        (session.user_key, session.events[0].event_ts): journeys.channels[id(session)] for session in journeys.sessions
    }


def paths_of_key_events_are_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    expected = {
        "paths_to_key_event": paths(journeys.key_events, lambda one: one.path_to),
        "paths_from_key_event": paths(journeys.key_events, lambda one: one.path_from),
        "conversion_paths": paths(journeys.key_events, lambda one: without_repeats(journeys.channels_to(one))),
    }
    for mart, cells in expected.items():
        assert by_key(marts, f"select key_event, path, key_events, users, revenue from marts.{mart}", 2) == cells
        ranks = by_key(marts, f"select key_event, path_rank, key_events from marts.{mart}", 2)
        for name in KEY_EVENTS:
            ranked = [ranks[name, rank] for rank in range(1, sum(key[0] == name for key in ranks) + 1)]
            assert ranked == sorted(ranked, reverse=True)


def attribution_is_right(journeys: Journeys, marts: duckdb.DuckDBPyConnection) -> None:
    """Credits are right to the millionth that each is cut at, and add up exactly."""
    zone = ZoneInfo(ZONE)
    led = [(one, journeys.channels_to(one), local_date(one.event.event_ts, zone)) for one in journeys.key_events]
    expected = attribution(led)
    query = "select model, key_event, channel, activity_date, key_events, revenue from marts.attribution"
    found = by_key(marts, query, 4)
    assert found.keys() == expected.keys()
    for cell, (number, revenue) in found.items():
        assert abs(Fraction(number) - expected[cell][0]) <= Fraction(len(led), 10**6)
        assert abs(Fraction(revenue) - expected[cell][1]) <= Fraction(len(led), 10**3)
    for model in MODELS:
        own = [values for cell, values in found.items() if cell[0] == model]
        assert sum(number for number, _ in own) == len(led)
        assert sum(revenue for _, revenue in own) == sum(one.event.revenue or 0 for one in journeys.key_events)


LAWS: list[Callable[[Journeys, duckdb.DuckDBPyConnection], None]] = [
    paths_are_right,
    lifecycles_are_right,
    stickiness_is_right,
    channels_are_right,
    paths_of_key_events_are_right,
    attribution_is_right,
]

# Copies of one event that differ are told apart elsewhere; here each id comes once.
histories = st.lists(happened, min_size=25, max_size=80, unique_by=lambda event: (event.source, event.event_id))
FEW = settings(
    max_examples=6, deadline=None, database=None, print_blob=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def hold(history: list[Happened]) -> None:
    journeys = Journeys(history)
    with TemporaryDirectory() as directory, journeys.built(Path(directory)) as marts:
        for law in LAWS:
            law(journeys, marts)


def test_journeys_are_as_in_plain_python() -> None:
    @seed("journeys")
    @FEW
    @given(history=histories)
    def holds(history: list[Happened]) -> None:
        hold(history)

    holds()


@pytest.mark.slow
@settings(FEW, max_examples=60, phases=[Phase.generate, Phase.shrink])
@given(history=histories)
def test_many_journeys_are_as_in_plain_python(history: list[Happened]) -> None:
    hold(history)
