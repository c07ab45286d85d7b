"""Cohorts of random histories, against plain Python, and laws that hold for any."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from math import isclose
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
from tests.conftest import cohorts, mostly_slow, write_lake
from tests.dbt_project.histories import Happened, Project, happened
from tests.oracles.behaviour import deduplicate, identify, local_date, sessionize
from tests.oracles.cohorts import PERIOD, Cell, Member, Visit, brackets, members, properties, retention, shown

START = datetime(2025, 2, 28, 16, 45)
ZONE = ZoneInfo("Asia/Kathmandu")
SPANS = [("0", 0, 0), ("1-2", 1, 2), ("1-30", 1, 30), ("31-93", 31, 93)]
PROPERTIES = ["source", "platform", "country", "first_utm_source"]
TOP = 2
MARTS = ["cohort_retention", "cohort_retention_brackets", "cohort_retention_by_property"]
MEASURES = "cohort_users, retained_users, on_or_after_users, revenue"
ANCHORS = {"first_seen": None, "first_key_event": ["purchase", "other"], "page_view": ["page_view"]}


@cache
def project(anchor: str) -> Project:
    declared = cohorts(anchor=anchor, brackets=[name for name, *_ in SPANS], properties=PROPERTIES, top_values=TOP)
    return Project.parse(
        {"reporting_timezone": str(ZONE), "key_events": ANCHORS["first_key_event"], "cohorts": declared}
    )


@dataclass
class Case:
    """What is expected of one history."""

    members: list[Member]
    known: list[dict[str, str | None]]
    last_day: date

    @classmethod
    def of(cls, rows: list[dict[str, Any]], anchor: str) -> "Case":
        known = {field.name for field in fields(Visit)}
        revenue = [None if row["revenue"] is None else Decimal(row["revenue"]) for row in rows]
        events = [
            Visit(**{**{name: row[name] for name in known & set(row)}, "revenue": money})
            for row, money in zip(rows, revenue, strict=True)
        ]
        identified: list[Any] = identify(deduplicate(events))
        sessions = sessionize(identified, timeout=timedelta(minutes=30))
        anchored = members(identified, names=ANCHORS[anchor], day_of=day_of)
        return cls(
            anchored,
            [properties(member, sessions) for member in anchored],
            max(map(day_of, identified)),
        )


def day_of(event: Visit) -> date:
    return local_date(event.event_ts, ZONE)


def cells(marts: duckdb.DuckDBPyConnection, query: str) -> dict[tuple[Any, ...], Cell]:
    """Rows as cells by their other columns."""
    rows = marts.execute(query).fetchall()
    found = {row[:-4]: Cell(*row[-4:]) for row in rows}
    assert len(found) == len(rows)
    return found


def retention_is_right(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    for grain in PERIOD:
        query = f"select cohort_period, period_number, {MEASURES} from marts.cohort_retention where grain = '{grain}'"
        assert cells(marts, query) == retention(case.members, grain, case.last_day)


def brackets_are_right(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    for grain in PERIOD:
        query = (
            f"select cohort_period, bracket, {MEASURES} from marts.cohort_retention_brackets where grain = '{grain}'"
        )
        assert cells(marts, query) == brackets(case.members, grain, SPANS, case.last_day)


def properties_are_right(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    for grain in PERIOD:
        expected: dict[tuple[Any, ...], Cell] = {}
        for name in PROPERTIES:
            called = shown((known[name] for known in case.known), TOP)
            groups: dict[str, list[Member]] = defaultdict(list)
            for member, known in zip(case.members, case.known, strict=True):
                groups[called[known[name]]].append(member)
            for value, group in groups.items():
                for cell, counted in retention(group, grain, case.last_day).items():
                    expected[name, value, *cell] = counted
        query = f"""
            select property, value, cohort_period, period_number, {MEASURES} from marts.cohort_retention_by_property
            where grain = '{grain}'
        """
        assert cells(marts, query) == expected


def rates_are_right(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    """The ends of a Wilson interval are where a true rate would be z standard errors from the observed one."""
    z = 1.959963984540054
    for mart in MARTS:
        for name, users in (("retention_rate", "retained_users"), ("on_or_after_rate", "on_or_after_users")):
            ends = ("rate_low", "rate_high") if users == "retained_users" else ("on_or_after_low", "on_or_after_high")
            query = f"select cohort_users, {users}, {name}, {', '.join(ends)} from marts.{mart}"
            for of, those, rate, low, high in marts.execute(query).fetchall():
                assert rate == those / of
                assert 0 <= low <= rate <= high <= 1
                for end in (low, high):
                    assert isclose(of * (rate - end) ** 2, z**2 * end * (1 - end), abs_tol=1e-9)


def revenue_is_retained(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    rows = marts.execute(
        """
        select cell.revenue, first.revenue, cell.revenue_retention
        from marts.cohort_retention as cell
        join marts.cohort_retention as first using (grain, cohort_period) where first.period_number = 0
        """
    ).fetchall()
    for revenue, first, share in rows:
        assert share == (float(revenue) / float(first) if first > 0 else None)


def cells_are_complete_when_they_are_over(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    """A period is over when the data go on into the next; a bracket, when that of the cohort's last day is."""
    (last,) = marts.execute("select max(event_ts) from marts.events").fetchall()[0]
    now = last.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZONE).replace(tzinfo=None)
    steps = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1)}
    query = "select grain, cohort_period, period_number, is_complete from marts.cohort_retention"
    for grain, cohort, number, is_complete in marts.execute(query).fetchall():
        assert is_complete == (now >= pd.Timestamp(cohort) + (number + 1) * steps[grain])
    query = "select grain, cohort_period, last_day, is_complete from marts.cohort_retention_brackets"
    for grain, cohort, last_day, is_complete in marts.execute(query).fetchall():
        assert is_complete == (now >= pd.Timestamp(cohort) + steps[grain] + timedelta(days=last_day))


def counts_keep_to_their_cohort(case: Case, marts: duckdb.DuckDBPyConnection) -> None:
    """Never above the cohort; period 0 is the cohort; on or after never rises."""
    for keys in ("grain, cohort_period", "grain, property, value, cohort_period"):
        mart = "cohort_retention" if keys.startswith("grain, cohort") else "cohort_retention_by_property"
        rows: Iterable[tuple[Any, ...]] = marts.execute(
            f"""
            select list({MEASURES.replace(", revenue", "").split(", ")[0]} order by period_number),
                list(retained_users order by period_number), list(on_or_after_users order by period_number)
            from marts.{mart} group by {keys}
            """
        ).fetchall()
        for sizes, on, on_or_after in rows:
            assert set(sizes) == {on[0]} == {on_or_after[0]}
            assert all(one <= other <= sizes[0] for one, other in zip(on, on_or_after, strict=True))
            assert on_or_after == sorted(on_or_after, reverse=True)
            assert on[-1] == on_or_after[-1]


LAWS: list[Callable[[Case, duckdb.DuckDBPyConnection], None]] = [
    retention_is_right,
    brackets_are_right,
    properties_are_right,
    rates_are_right,
    revenue_is_retained,
    cells_are_complete_when_they_are_over,
    counts_keep_to_their_cohort,
]

# Copies of one event that differ are told apart elsewhere; here each id comes once.
histories = st.lists(happened, min_size=25, max_size=80, unique_by=lambda event: (event.source, event.event_id))
FEW = settings(
    max_examples=3, deadline=None, database=None, print_blob=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def hold(history: list[Happened], anchor: str) -> None:
    rows = [event.row(START) for event in history]
    with TemporaryDirectory() as directory:
        lake = Settings(data_dir=Path(directory), threads=1)
        write_lake(lake, pd.DataFrame(rows))
        run_dbt(
            ["run", "--no-write-json", "--select", "+events", *(f"+{mart}" for mart in MARTS)],
            lake,
            project(anchor).variables,
            parsed=project(anchor).parsed,
        )
        with duckdb.connect(str(lake.warehouse), read_only=True) as marts:
            for law in LAWS:
                law(Case.of(rows, anchor), marts)


@pytest.mark.parametrize("anchor", mostly_slow(ANCHORS, "first_key_event"))
def test_cohorts_are_as_in_plain_python(anchor: str) -> None:
    @seed(anchor)
    @FEW
    @given(history=histories)
    def holds(history: list[Happened]) -> None:
        hold(history, anchor)

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ANCHORS)
def test_many_cohorts_are_as_in_plain_python(anchor: str) -> None:
    @settings(FEW, max_examples=30, phases=[Phase.generate, Phase.shrink])
    @given(history=histories)
    def holds(history: list[Happened]) -> None:
        hold(history, anchor)

    holds()
