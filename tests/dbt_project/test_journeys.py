"""Paths, lifecycles and what led to key events, of random histories, against plain Python."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime, timedelta
from decimal import Decimal
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
from tests.oracles.behaviour import Event, deduplicate, identify, local_date, sessionize
from tests.oracles.journeys import active_users, lifecycle, stickiness, transitions

START = datetime(2025, 2, 28, 16, 45)
ZONE = "Asia/Kathmandu"
MARTS = ["path_transitions", "path_steps", "lifecycle", "stickiness", "active_users"]


@cache
def project() -> Project:
    return Project.parse({"reporting_timezone": ZONE})


class Journeys:
    """One history, what is expected of it, and the marts built from it."""

    def __init__(self, history: list[Happened]) -> None:
        rows = [event.row(START) for event in history]
        known = {field.name for field in fields(Event)}
        revenue = [None if row["revenue"] is None else Decimal(row["revenue"]) for row in rows]
        events = [
            Event(**{**{name: row[name] for name in known & set(row)}, "revenue": money})
            for row, money in zip(rows, revenue, strict=True)
        ]
        self.events = identify(deduplicate(events))
        self.sessions = sessionize(self.events, timeout=timedelta(minutes=30))
        self._rows = rows

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


LAWS: list[Callable[[Journeys, duckdb.DuckDBPyConnection], None]] = [
    paths_are_right,
    lifecycles_are_right,
    stickiness_is_right,
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
