"""Funnels against hand-set vectors, an exhaustive search and ClickHouse."""

import random
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.conftest import BuildWarehouse, funnel
from tests.oracles.funnel import Event, best_path

EPOCH = pd.Timestamp("2025-03-01")
WINDOW = 60

VECTORS = [
    ("later starts count", "A0 A30 B45 C75", 3),
    ("past the window", "A0 B61", 1),
    ("exactly the window", "A0 B60", 2),
    ("simultaneous events help", "B10 A10", 2),
    ("re-entry does not reach further back", "A0 B50 A70 C80", 2),
    ("wrong order", "C0 B1 A2", 1),
    ("no entry", "B0 C1", 0),
    ("all at once", "C5 B5 A5", 3),
    ("the first of two entries is too old", "A0 B59 C61 A62", 2),
]


def frame(users: dict[str, list[Event]]) -> pd.DataFrame:
    rows = [
        (user, name, EPOCH + pd.Timedelta(seconds=seconds))
        for user, events in users.items()
        for seconds, name in events
    ]
    return pd.DataFrame(rows, columns=["user_id", "event_name", "event_ts"])


def parse(text: str) -> list[Event]:
    return [(float(word[1:]), word[0]) for word in text.split()]


FUNNELS = {
    "abc": (["A", "B", "C"], "ordered"),
    "aa": (["A", "A"], "ordered"),
    "aba": (["A", "B", "A"], "ordered"),
    "abc strict": (["A", "B", "C"], "strict"),
    "aab strict": (["A", "A", "B"], "strict"),
    "abb strict": (["A", "B", "B"], "strict"),
    "abc unordered": (["A", "B", "C"], "unordered"),
    "aab unordered": (["A", "A", "B"], "unordered"),
}

# Steps that overlap without being equal: an event of value 3 can fill either, one of value 1 only the first.
STEPS_THAT_OVERLAP = [{"where": "event_name in ('A', 'B')"}, {"where": "event_name in ('B', 'C')"}, "B"]
OVERLAPPING = {
    "overlap ordered": "ordered",
    "overlap strict": "strict",
    "overlap unordered": "unordered",
}


@pytest.fixture(scope="module")
def vector_depths(build_warehouse: BuildWarehouse) -> dict[str, int]:
    users = {text: parse(text) for _, text, _ in VECTORS}
    connection = build_warehouse(
        frame(users),
        {"funnels": [funnel("abc", ["A", "B", "C"], window=WINDOW, order="ordered")]},
        select="+funnel_users",
    )
    return dict(connection.execute("select user_key, steps_completed from marts.funnel_users").fetchall())


@pytest.mark.parametrize(("why", "events", "depth"), VECTORS)
def test_hand_set_vectors(vector_depths: dict[str, int], why: str, events: str, depth: int) -> None:
    assert vector_depths.get(events, 0) == depth, why


def test_one_event_fills_one_step(build_warehouse: BuildWarehouse) -> None:
    connection = build_warehouse(
        frame({"once": [(0, "A")], "twice": [(0, "A"), (0, "A")]}),
        {"funnels": [funnel("aa", ["A", "A"], window=WINDOW, order="ordered")]},
        select="+funnel_users",
    )
    depths = dict(connection.execute("select user_key, steps_completed from marts.funnel_users").fetchall())
    assert depths == {"once": 1, "twice": 2}


@pytest.fixture(scope="module")
def fuzzed_users() -> dict[str, list[Event]]:
    """Short histories on a coarse clock, so that ties, repeats and boundaries abound."""
    generator = random.Random(20250301)
    return {
        f"user {number}": [
            (generator.choice([0, 1, 2, 10, 30, 59, 60, 61, 90]), generator.choice("ABCX"))
            for _ in range(generator.randint(1, 5))
        ]
        for number in range(1500)
    }


@pytest.fixture(scope="module")
def fuzzed_marts(build_warehouse: BuildWarehouse, fuzzed_users: dict[str, list[Event]]) -> duckdb.DuckDBPyConnection:
    declared = [funnel(name, list(steps), window=WINDOW, order=order) for name, (steps, order) in FUNNELS.items()]
    declared += [funnel(name, STEPS_THAT_OVERLAP, window=WINDOW, order=order) for name, order in OVERLAPPING.items()]
    return build_warehouse(frame(fuzzed_users), {"funnels": declared}, select="+funnel_users +funnel_steps")


def reported(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, tuple[int, float | None, float | None]]:
    rows = connection.execute(
        """
        select user_key, steps_completed, epoch(entered_at) - epoch(?::timestamp),
            epoch(step_times[-1]) - epoch(?::timestamp)
        from marts.funnel_users where funnel = ?
        """,
        [EPOCH, EPOCH, name],
    ).fetchall()
    return {user: (depth, entered, completed) for user, depth, entered, completed in rows}


@pytest.mark.parametrize("name", [*FUNNELS, *OVERLAPPING])
def test_paths_equal_exhaustive_search(
    fuzzed_marts: duckdb.DuckDBPyConnection, fuzzed_users: dict[str, list[Event]], name: str
) -> None:
    if name in FUNNELS:
        names, order = FUNNELS[name]
        steps = [(lambda event, wanted=wanted: event == wanted) for wanted in names]
    else:
        order = OVERLAPPING[name]
        steps = [lambda event: event in "AB", lambda event: event in "BC", lambda event: event == "B"]
    found = reported(fuzzed_marts, name)
    for user, events in fuzzed_users.items():
        path = best_path(events, steps, window=WINDOW, order=order)
        expected = (path.depth, path.entered_at, path.completed_at)
        assert found.get(user, (0, None, None)) == expected, (user, sorted(events))


# Steps that one event may fill several of are where windowFunnel's modes part.
AGAINST_CLICKHOUSE: dict[str, list[str]] = {
    "abc": ["A", "B", "C"],
    "aa": ["A", "A"],
    "aba": ["A", "B", "A"],
    "aabb": ["A", "A", "B", "B"],
    "any or one": ["AB", "BC", "B"],
    "one and any": ["A", "ABC", "C", "ABC"],
}
MODES = {"avila": "strict_once", "clickhouse": ""}


@pytest.fixture(scope="module")
def many_users() -> dict[str, list[Event]]:
    generator = random.Random(20250302)
    return {
        f"user {number}": [
            (generator.choice([0, 1, 2, 10, 30, 59, 60, 61, 62, 90, 120, 121]), generator.choice("AABBCCX"))
            for _ in range(generator.randint(1, 9))
        ]
        for number in range(6000)
    }


@pytest.fixture(scope="module")
def depths_here(build_warehouse: BuildWarehouse, many_users: dict[str, list[Event]]) -> duckdb.DuckDBPyConnection:
    declared = [
        funnel(
            f"{name} {semantics}",
            [{"where": f"event_name in ({', '.join(map(repr, step))})"} for step in steps],
            window=WINDOW,
            semantics=semantics,
        )
        for name, steps in AGAINST_CLICKHOUSE.items()
        for semantics in MODES
    ]
    return build_warehouse(frame(many_users), {"funnels": declared}, select="+funnel_users")


@pytest.mark.parametrize("semantics", MODES)
@pytest.mark.parametrize("name", AGAINST_CLICKHOUSE)
def test_depths_equal_clickhouse(
    depths_here: duckdb.DuckDBPyConnection,
    many_users: dict[str, list[Event]],
    tmp_path: Path,
    name: str,
    semantics: str,
) -> None:
    """ClickHouse itself, over the same 6,000 users: no depth differs."""
    import chdb

    rows = [(user, seconds, event) for user, events in many_users.items() for seconds, event in events]
    pd.DataFrame(rows, columns=["user", "seconds", "event"]).to_parquet(tmp_path / "events.parquet")
    conditions = ", ".join(f"event in ({', '.join(map(repr, step))})" for step in AGAINST_CLICKHOUSE[name])
    mode = f", '{MODES[semantics]}'" if MODES[semantics] else ""
    answer = chdb.query(
        f"""
        select user, windowFunnel({WINDOW}{mode})(toUInt64(seconds), {conditions}) as depth
        from file('{tmp_path}/events.parquet') group by user format CSV
        """
    )
    lines = (line.rsplit(",", 1) for line in str(answer).splitlines())
    theirs = {user.strip('"'): int(depth) for user, depth in lines}
    query = "select user_key, steps_completed from marts.funnel_users where funnel = ?"
    ours = dict(depths_here.execute(query, [f"{name} {semantics}"]).fetchall())
    assert len(theirs) == len(many_users) >= 5000
    assert {user: ours.get(user, 0) for user in many_users} == theirs
