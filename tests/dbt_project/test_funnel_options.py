"""Exclusions, optional steps, breakdowns and other tools' semantics, against vectors by hand and plain Python."""

import random
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.conftest import BuildWarehouse, funnel
from tests.oracles import funnel_options as oracle
from tests.oracles.funnel_options import Event

EPOCH = pd.Timestamp("2025-03-01")
WINDOW = 60
DAY = 24 * 3600

Declared = tuple[list[Any], dict[str, Any]]

ABC: list[Any] = ["A", "B", "C"]
OPTIONAL_B: list[Any] = ["A", {"event": "B", "optional": True}, "C"]
TWO_OPTIONAL: list[Any] = ["A", {"event": "B", "optional": True}, {"event": "X", "optional": True}, "C"]

FUNNELS: dict[str, Declared] = {
    "plain": (ABC, {}),
    "no X": (ABC, {"exclusions": "X"}),
    "no X between B and C": (ABC, {"exclusions": [{"event": "X", "between": ["B", "C"]}]}),
    "no X or Y": (ABC, {"exclusions": [{"event": "X", "between": ["A", "B"]}, {"event": "Y", "between": ["B", "C"]}]}),
    "no A again": (["A", "B"], {"exclusions": ["A"]}),
    "optional B": (OPTIONAL_B, {}),
    "two optional": (TWO_OPTIONAL, {"exclusions": ["Y"]}),
    "overlapping optional": (
        ["A", {"name": "A or B", "where": "event_name in ('A', 'B')", "optional": True}, "B", "C"],
        {},
    ),
    "clickhouse": (["A", {"where": "event_name in ('A', 'B')"}, "C"], {"semantics": "clickhouse"}),
    "posthog": (ABC, {"semantics": "posthog"}),
    "posthog without X": (ABC, {"semantics": "posthog", "exclusions": "X"}),
    "posthog without X or Y": (
        ABC,
        {
            "semantics": "posthog",
            "exclusions": [{"event": "X", "between": ["A", "B"]}, {"event": "Y", "between": ["B", "C"]}],
        },
    ),
    "mixpanel": (ABC, {"semantics": "mixpanel"}),
    "mixpanel without X": (OPTIONAL_B, {"semantics": "mixpanel", "exclusions": ["X"]}),
    "by country": (ABC, {"breakdown": {"by": "country", "top": 2}}),
    "by plan": (OPTIONAL_B, {"breakdown": {"by": "upper(properties->>'plan')", "top": 1}, "exclusions": ["X"]}),
    "mixpanel by country": (ABC, {"semantics": "mixpanel", "breakdown": "country"}),
    "posthog by country": (ABC, {"semantics": "posthog", "exclusions": "X", "breakdown": {"by": "country", "top": 2}}),
}

# What is meant, why it is hard, the events, the depth; 0 for a user who is not in the funnel.
VECTORS: list[tuple[str, str, str, int]] = [
    ("no X", "an excluded event ends the path", "A0 X1 B2", 1),
    ("no X", "it does not take back what was reached", "A0 B1 X2 C3", 2),
    ("no X", "before the first step it means nothing", "X0 A1 B2 C3", 3),
    ("no X", "nor after the last", "A0 B1 C2 X3", 3),
    ("no X", "a user may enter again after it", "A0 X1 A2 B3 C4", 3),
    ("no X", "at the instant of the first step it is not between", "A0 X0 B1 C2", 3),
    ("no X", "at the instant of the last step it is not between", "A0 B1 X2 C2", 3),
    ("no X", "at the instant of a step between it is", "A0 B1 X1 C2", 2),
    ("no X between B and C", "outside of its steps it means nothing", "A0 X1 B2 C3", 3),
    ("no X between B and C", "between them it ends the path", "A0 B1 X2 C3", 2),
    ("no X between B and C", "a step once taken is not taken again", "A0 B1 X2 B3 C4", 2),
    ("no X between B and C", "but from another entry it is", "A0 B1 X2 A3 B4 C5", 3),
    ("no X between B and C", "at the instant of either step it is not between", "A0 B1 X1 X2 C2", 3),
    ("no A again", "a step's own event may be excluded", "A0 A1 A2 B3", 2),
    ("optional B", "an optional step may be skipped", "A0 C1", 3),
    ("optional B", "or taken", "A0 B1 C2", 3),
    ("optional B", "taken alone it is no depth", "A0 B1", 1),
    ("optional B", "it cannot lead into the funnel", "B0 C1", 0),
    ("clickhouse", "one event fills several steps", "A0 C1", 3),
    ("plain", "one event fills one step", "A0 C1", 1),
    ("posthog without X", "an excluded event takes the user out", "A0 X1 B2 C3", 0),
    ("posthog without X", "even if nothing follows", "A0 B1 X2", 0),
    ("posthog without X", "unless a path as deep has none", "A0 X1 A2", 1),
    ("posthog without X", "or a deeper one", "A0 X1 A2 B3 C4", 3),
    ("posthog without X", "after the window it means nothing", "A0 X61", 1),
    ("posthog without X", "a shallower path does not save the user", "A0 B1 X2 C3 A90 B91", 0),
    ("mixpanel", "the first entry alone counts", "A0 A30 B45 C75", 2),
    ("plain", "the earliest of equally deep paths is told", "A0 A1 B2", 2),
    ("posthog", "an entry before a later one counts as much", "A0 A30 B45 C75", 3),
    ("clickhouse", "every entry counts", "A0 A30 C75", 3),
    ("mixpanel without X", "the steps before an excluded event count", "A0 X1 B2", 1),
    ("posthog without X", "an excluded event leaves the user out", "A0 X1 B2", 0),
    ("plain", "every entry counts", "A0 A30 B45 C75", 3),
    ("mixpanel", "even once its window is over", "A0 B61 A70 B71 C72", 1),
    ("mixpanel without X", "an excluded event ends that one", "A0 X1 A2 C3", 1),
]


def parse(text: str) -> list[Event]:
    return [Event(float(word[1:]), word[0]) for word in text.split()]


def frame(users: Mapping[str, list[Event]]) -> pd.DataFrame:
    rows = [
        {
            "user_id": user,
            "event_name": event.name,
            "event_ts": EPOCH + pd.Timedelta(seconds=event.at),
            "country": event.value,
            "properties": f'{{"plan": "{event.value.lower()}"}}' if event.value else "{}",
        }
        for user, events in users.items()
        for event in events
    ]
    return pd.DataFrame(rows)


def random_users(number: int, seed: int, *, days: list[int]) -> dict[str, list[Event]]:
    """Short histories on a coarse clock, so that ties, repeats and boundaries abound, over some days."""
    generator = random.Random(seed)
    return {
        f"user {user}": [
            Event(
                generator.choice(days) * DAY + generator.choice([0, 1, 2, 10, 30, 59, 60, 61, 90]),
                generator.choice("AABBCCXY"),
                generator.choice(["PT", "PT", "PT", "BR", "BR", "DE", "DE", "ES", "FR", "other", None]),
            )
            for _ in range(generator.randint(1, 8))
        ]
        for user in range(number)
    }


USERS = random_users(1200, 5, days=[0, 0, 1, 8, 40])


def as_oracle(name: str) -> oracle.Funnel:
    """A funnel of `FUNNELS`, as the oracle reads it."""
    steps, options = FUNNELS[name]
    declared = funnel(name, steps, window=WINDOW, **options)
    names = {step["number"]: step["event"] or "AB" for step in declared["steps"]}
    return oracle.Funnel(
        tuple(oracle.Step(names[step["number"]], step["optional"]) for step in declared["steps"]),
        WINDOW,
        tuple(oracle.Exclusion(one["event"], one["first"], one["last"]) for one in declared["exclusions"]),
        declared["semantics"],
    )


@pytest.fixture(scope="module")
def marts(build_warehouse: BuildWarehouse) -> duckdb.DuckDBPyConnection:
    users = {**USERS, **{text: parse(text) for _, _, text, _ in VECTORS}}
    declared = [funnel(name, steps, window=WINDOW, **options) for name, (steps, options) in FUNNELS.items()]
    return build_warehouse(frame(users), {"funnels": declared}, select="+funnel_users +funnel_steps")


@pytest.mark.parametrize(("name", "why", "events", "depth"), VECTORS)
def test_hand_set_vectors(marts: duckdb.DuckDBPyConnection, name: str, why: str, events: str, depth: int) -> None:
    query = "select steps_completed from marts.funnel_users where funnel = ? and user_key = ?"
    rows = marts.execute(query, [name, events]).fetchall()
    assert (rows[0][0] if rows else 0) == depth, why


def test_where_optional_steps_stand(marts: duckdb.DuckDBPyConnection) -> None:
    query = """
        select user_key, list_transform(step_times, lambda x: epoch(x) - epoch(?::timestamp)) from marts.funnel_users
        where funnel = 'optional B' and user_key in ('A0 C1', 'A0 B1 C2', 'A0 B1')
    """
    rows = marts.execute(query, [EPOCH]).fetchall()
    assert dict(rows) == {"A0 C1": [0, None, 1], "A0 B1 C2": [0, 1, 2], "A0 B1": [0, 1, None]}


def test_which_of_equally_deep_paths_is_told(marts: duckdb.DuckDBPyConnection) -> None:
    """A row of the README's table; windowFunnel tells the depth alone."""
    query = """
        select funnel, list_transform(step_times, lambda x: epoch(x) - epoch(?::timestamp)) from marts.funnel_users
        where user_key = 'A0 A1 B2' and funnel in ('plain', 'posthog', 'mixpanel')
    """
    assert dict(marts.execute(query, [EPOCH]).fetchall()) == {"plain": [0, 2], "posthog": [1, 2], "mixpanel": [0, 2]}


# ClickHouse is held against itself in test_funnels.
@pytest.mark.parametrize("name", [name for name in FUNNELS if "clickhouse" not in name])
def test_paths_equal_plain_python(marts: duckdb.DuckDBPyConnection, name: str) -> None:
    declared = as_oracle(name)
    rows = marts.execute(
        """
        select user_key, steps_completed, breakdown,
            list_transform(step_times, lambda x: epoch(x) - epoch(?::timestamp))
        from marts.funnel_users where funnel = ?
        """,
        [EPOCH, name],
    ).fetchall()
    found = {user: (depth, value, times) for user, depth, value, times in rows if user in USERS}
    is_broken_down = "breakdown" in FUNNELS[name][1]
    expected = {}
    for user, events in USERS.items():
        events = [Event(event.at, event.name, plan(event, name)) for event in events]
        path = oracle.best(oracle.attempts(events, declared), declared.semantics)
        if path is not None:
            value = oracle.label(path.value) if is_broken_down else None
            expected[user] = (path.depth, value, [*path.times])
    assert found == expected


def plan(event: Event, name: str) -> str | None:
    """The value that a funnel is broken down by."""
    return event.value.upper() if event.value and name == "by plan" else event.value


@pytest.mark.parametrize("grain", ["all", "day", "week", "month"])
@pytest.mark.parametrize("name", [name for name in FUNNELS if "clickhouse" not in name])
def test_counts_equal_plain_python(marts: duckdb.DuckDBPyConnection, name: str, grain: str) -> None:
    declared = as_oracle(name)
    users = {**USERS, **{text: parse(text) for _, _, text, _ in VECTORS}}
    valued = {
        user: [Event(event.at, event.name, plan(event, name)) for event in events] for user, events in users.items()
    }
    end = max(event.at for events in users.values() for event in events)

    def period(at: float) -> date | None:
        day = (EPOCH + pd.Timedelta(seconds=at)).date()
        first = {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}
        return first.get(grain)

    top = (funnel(name, FUNNELS[name][0], window=WINDOW, **FUNNELS[name][1])["breakdown"] or {}).get("top")
    rows = marts.execute(
        """
        select entry_period, breakdown, step_number, users, from_previous, from_start, median_seconds_from_previous,
            in_progress, dropped
        from marts.funnel_steps where funnel = ? and entry_grain = ?
        """,
        [name, grain],
    ).fetchall()
    found = {tuple(row[:3]): pytest.approx(tuple(row[3:])) for row in rows}
    assert found == oracle.counted(valued, declared, period, top=top, end=end)


@pytest.mark.parametrize("name", ["posthog", "posthog without X", "posthog without X or Y"])
def test_depths_are_those_of_posthogs_one_pass(name: str) -> None:
    """What the oracle does entry by entry, PostHog does in one pass over the events."""
    generator = random.Random(11)
    declared = as_oracle(name)
    for _ in range(5000):
        moments = generator.sample(range(0, 130, 3), generator.randint(1, 9))
        events = [Event(float(at), generator.choice("AABBCXY")) for at in moments]
        path = oracle.best(oracle.attempts(events, declared), "posthog")
        assert (path.depth if path else 0) == oracle.posthog_depth(events, declared), sorted(
            (event.at, event.name) for event in events
        )
