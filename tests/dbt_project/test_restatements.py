"""What a night changes, it says; what it does not touch keeps its ids; what is declared anew is built anew."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from shutil import copytree
from typing import Any

import duckdb
import pandas as pd
import pytest

from orchestration import increments
from orchestration.fingerprints import fingerprints
from orchestration.graph import incremental_models
from orchestration.warehouse import connect
from tests.conftest import Load, mostly_slow
from tests.dbt_project.histories import FUNNELS, Outcome, Project, Warehouse
from tests.dbt_project.test_increment_mutants import MUTANTS

EVENTS = "marts.events"


@cache
def project() -> Project:
    return Project.parse({"funnels": FUNNELS})


def load(number: int, *rows: tuple[str, str, str, str, str | None], retired: int | None = None) -> Load:
    """A load of events: id, moment, user, device, name."""
    events = pd.DataFrame(
        [
            {
                "event_id": event_id,
                "event_ts": datetime.fromisoformat(moment),
                "user_id": user or None,
                "anonymous_id": device or None,
                "event_name": name,
            }
            for event_id, moment, user, device, name in rows
        ]
    )
    return Load(f"load{number}", number, events, retired)


FIRST = [
    load(
        1,
        ("a1", "2025-03-01 10:00", "ada", "", "view"),
        ("a2", "2025-03-01 10:10", "ada", "", "page_view"),
        ("a3", "2025-03-01 18:00", "ada", "", "view"),
        ("b1", "2025-03-02 09:00", "bob", "", "view"),
        ("p1", "2025-03-02 10:00", "", "phone", "view"),
        ("e1", "2025-03-02 11:00", "eve", "", "view"),
    ),
    load(2, ("c1", "2025-03-02 12:00", "cyd", "", "purchase"), ("c2", "2025-03-02 12:05", "cyd", "", "view")),
]
SECOND = [
    FIRST[0],
    replace(FIRST[1], retired_seq=3),
    # Of the file's two events one is as it was, one has another moment.
    load(3, ("c1", "2025-03-02 12:00", "cyd", "", "purchase"), ("c2", "2025-03-02 12:06", "cyd", "", "view")),
    load(
        4,
        ("a4", "2025-03-01 10:30", "ada", "", "view"),  # into the first session
        ("e1", "2025-03-02 10:50", "eve", "", "view"),  # a copy that wins
        ("b1", "2025-03-02 09:30", "bob", "", "view"),  # a copy that does not
        ("p2", "2025-03-02 13:00", "dan", "phone", "view"),  # tells whose the visit was
        ("b2", "2025-03-02 13:00", "bob", "", "view"),
    ),
]


def warehouse(root: Path) -> Warehouse:
    made = Warehouse(root, project())
    made.build(FIRST)
    return made


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("first")
    warehouse(root)
    return root


@pytest.fixture
def built(first: Path, tmp_path: Path) -> Warehouse:
    copytree(first, tmp_path / "built")
    return Warehouse(tmp_path / "built", project())


def rows(warehouse: Warehouse, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query, list(values)).fetchall()


def contents(warehouse: Warehouse) -> dict[str, Counter[tuple[Any, ...]]]:
    return {
        table: Counter(map(repr, rows(warehouse, f"select * from {table}")))  # type: ignore[misc]
        for table in warehouse.compared()
    }


def sessions(warehouse: Warehouse) -> dict[tuple[str, datetime], tuple[str, int]]:
    query = "select user_key, started_at, session_id, events from marts.sessions"
    return {(user, start): (session, events) for user, start, session, events in rows(warehouse, query)}


def test_restatements_say_what_changed_and_why(built: Warehouse) -> None:
    before = sessions(built)
    built.build(SECOND)
    query = "select reason, rows_added, rows_removed, rows_changed from ops.restatements where table_name = ?"
    assert sorted(rows(built, query, EVENTS)) == [
        ("duplicate", 0, 0, 1),
        ("identity", 0, 0, 1),
        ("late", 1, 0, 0),
        ("new", 2, 0, 0),
        ("replaced file", 0, 0, 2),
    ]
    by_reason = "select distinct reason from ops.restatements where table_name = 'marts.sessions'"
    assert {reason for (reason,) in rows(built, by_reason)} == {
        "late",
        "duplicate",
        "identity",
        "identity, new",
        "new",
        "replaced file",
    }

    after = sessions(built)
    start = datetime(2025, 3, 1, 10)
    assert after["ada", start] == (before["ada", start][0], 3), "a session that gains a later event keeps its id"
    untouched = ("ada", datetime(2025, 3, 1, 18))
    assert after[untouched] == before[untouched]
    assert after["cyd", datetime(2025, 3, 2, 12)][0] == before["cyd", datetime(2025, 3, 2, 12)][0]
    assert after["bob", datetime(2025, 3, 2, 9)] == before["bob", datetime(2025, 3, 2, 9)]
    assert ("phone", datetime(2025, 3, 2, 10)) in before
    assert {user for user, _ in after} == {"ada", "bob", "cyd", "dan", "eve"}


def test_restatements_tell_what_moved_without_an_event_of_its_own(built: Warehouse) -> None:
    """A purchase two months on: the others' state is another by then, and cyd's rank, and cohorts are complete."""
    built.build([*FIRST, load(3, ("d1", "2025-05-02 12:00", "dan", "", "purchase"))])
    query = "select table_name, reason, rows_added, rows_removed, rows_changed from ops.restatements"
    told = {(table, reason): counts for table, reason, *counts in rows(built, query)}
    assert told["marts.users", "new"] == [1, 0, 0]
    assert told["marts.users", "time or others"] == [0, 0, 5], "nobody stays active"
    assert told["marts.sessions", "new"] == [1, 0, 0]
    assert ("marts.sessions", "time or others") not in told
    assert {reason for table, reason in told if table == "marts.cohort_retention"} == {"other tables"}
    assert {reason for table, reason in told if table == "marts.funnel_steps"} == {"other tables"}


def test_nothing_new_changes_no_row(built: Warehouse) -> None:
    before = contents(built)
    built.build(FIRST)
    assert contents(built) == before
    assert rows(built, "from ops.restatements") == []
    assert not built.said


def test_what_was_noted_by_a_killed_build_is_not_lost(built: Warehouse, tmp_path: Path) -> None:
    """The events are up to date and nothing else is; then comes what has no change of its own."""
    built.build(SECOND, Outcome(killed_after=built.project.models().index("int_events_identified") + 1))
    built.build(SECOND)
    full = Warehouse(tmp_path / "full", project())
    full.build(SECOND)
    assert built.differences(full) == []
    assert rows(built, "from increments.event_changes") == []


WITHOUT_SESSIONS = {
    *("int_events_identified", "int_user_breadth_known", "int_funnel_entries", "int_funnel_entries_outdone"),
}

CHANGES: dict[str, tuple[dict[str, Any], Callable[[set[str]], set[str]]]] = {
    # What has none in it, by whatever way, stays.
    "sessions": ({"sessions": {"timeout_minutes": 20}}, lambda models: models - WITHOUT_SESSIONS),
    # Every event has its day.
    "reporting time zone": ({"reporting_timezone": "Asia/Kathmandu"}, lambda models: models),
    # How far users came in a funnel is a feature, and an outcome is that of a snapshot.
    "funnels": (
        {"funnels": [FUNNELS[0], {**FUNNELS[1], "window_seconds": 600}]},
        lambda _: {
            *("int_funnel_entries", "int_funnel_entries_outdone", "funnel_users", "funnel_steps"),
            *("int_user_days_known", "user_snapshots", "churn_outcomes", "conversion_outcomes", "users"),
        },
    ),
}


@pytest.mark.parametrize("change", mostly_slow(CHANGES, "sessions"))
def test_a_changed_definition_rebuilds_what_depends_on_it(built: Warehouse, tmp_path: Path, change: str) -> None:
    variables, rebuilt = CHANGES[change]
    changed = Project.parse({**project().variables, **variables})
    grown, full = Warehouse(built.settings.root, changed), Warehouse(tmp_path / "full", changed)
    grown.build(SECOND)
    full.build(SECOND)
    incremental = {
        node["name"] for node in changed.manifest["nodes"].values() if node["config"]["materialized"] == "incremental"
    }
    (said,) = grown.said
    assert set(said.split(": ")[-1].split(", ")) == rebuilt(incremental)
    assert grown.differences(full) == []


@pytest.mark.parametrize("rule", MUTANTS)
def test_rows_that_another_rule_recomputed_are_built_anew(rule: str) -> None:
    """What an older rule left wrong would stay so: nothing else touches it."""
    older = project()
    for name, now, then in MUTANTS[rule]:
        older = older.but_for(name, now, then)
    now, then = (fingerprints(one.manifest, one.variables) for one in (project(), older))
    assert {name for name in now if now[name] != then[name]} >= set(incremental_models(project().manifest))


def test_another_engine_builds_all_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of time zones come with it: days that it cuts otherwise would not match those of before."""
    before = fingerprints(project().manifest, project().variables)
    monkeypatch.setattr(duckdb, "__version__", "0.0.1")
    after = fingerprints(project().manifest, project().variables)
    assert not set(before.items()) & set(after.items())


def test_what_is_no_model_any_more_is_removed(built: Warehouse) -> None:
    """A mart that an older version had, and one of its views; and what it kept, and is a part of others' SQL now."""
    with connect(built.settings) as connection:
        connection.execute("create table marts.visits as select 1 as visits")
        connection.execute("create view intermediate.int_visits as select * from marts.visits")
        connection.execute("create table intermediate.int_funnel_period_entries as select 1 as entries")
        connection.execute(
            """
            insert into increments.built_models
            select unnest(['visits', 'int_visits', 'int_funnel_period_entries']), true, 'old', 1, 'old', now()
            """
        )
    built.build(SECOND)
    gone = {"visits", "int_visits", "int_funnel_period_entries"}
    assert not gone & {name for (name,) in rows(built, "select table_name from information_schema.tables")}
    assert set(built.said[0].split(": ")[-1].split(", ")) == gone
    with built.connect() as connection:
        assert increments.applied_seq(connection) == 4
    assert rows(built, "from increments.event_changes") == []
