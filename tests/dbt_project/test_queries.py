"""The queries an analyst begins with: they stand in the README, run, and answer what they ask."""

import subprocess
import sys
from decimal import Decimal

import duckdb
import pandas as pd
import pytest

from orchestration.prompt import banner, queries
from orchestration.publish import publish
from orchestration.settings import PROJECT_ROOT, Settings
from tests.conftest import BuildWarehouse, funnel

USERS, DAYS = 40, 70


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """Each user comes every few days, looks, and every third time buys."""
    rows = []
    for user in range(USERS):
        for visit, day in enumerate(range(user % 9, DAYS, 1 + user % 6)):
            start = pd.Timestamp("2025-01-01 09:00") + pd.Timedelta(days=day, minutes=user)
            rows.append((f"u{user:02d}", "page_view", f"/{user % 3}", start, None, ["letter", None][visit % 2]))
            if visit % 3 == 0:
                rows.append((f"u{user:02d}", "purchase", None, start + pd.Timedelta(minutes=2), 5 + user, None))
    return pd.DataFrame(rows, columns=["user_id", "event_name", "page", "event_ts", "revenue", "utm_source"])


@pytest.fixture(scope="module")
def marts(build_warehouse: BuildWarehouse, events: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    declared = [funnel("buying", ["page_view", "purchase"], window=3600, order="ordered")]
    connection = build_warehouse(events, {"funnels": declared})
    connection.execute(
        """
        insert into marts.churn_scores
            (user_key, as_of, probability, decile, top_reasons, model_version, is_base_rate, value_at_risk)
        select user_key, date '2025-03-12', 0.8, 9, ['higher risk'], 'v1', false, 0 from marts.users
        """
    )
    connection.execute(
        """
        insert into ops.runs (run_id, started_at, seconds, step, part_of, cpu_seconds, rows, peak_memory_bytes)
        select
            concat('night ', night), timestamp '2025-01-01' + interval (night) day, seconds * if(night = 40, 3, night),
            step, part_of, seconds, 7, 250000000
        from
            range(1, 41) as nights(night),
            (values
                (null, null, 11), ('dbt_models', null, 10), ('marts.users', 'dbt_models', 9), ('publish', null, 1)
            ) as steps(step, part_of, seconds)
        """
    )
    connection.execute("use marts")
    return connection


def answer(marts: duckdb.DuckDBPyConnection, name: str) -> pd.DataFrame:
    return marts.execute(queries()[name]).df()


def test_each_has_a_question_and_stands_in_the_readme_and_the_banner() -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    for name, sql in queries().items():
        question = sql.partition("\n")[0]
        assert question.startswith("-- ")
        assert question.endswith("?")
        assert f"```sql\n{sql.strip()}\n```" in readme, name
        assert f"from {name};" in banner()
        assert question.removeprefix("-- ") in banner()


def test_the_banner_names_every_mart(marts: duckdb.DuckDBPyConnection) -> None:
    tables = marts.execute("select table_name from duckdb_tables() where schema_name = 'marts'").fetchall()
    assert {table for (table,) in tables} <= set(banner().replace(";", " ").split())


@pytest.mark.parametrize("name", sorted(queries()))
def test_it_runs_and_finds_something(marts: duckdb.DuckDBPyConnection, name: str) -> None:
    found = answer(marts, name)
    assert len(found)
    assert not found.columns.duplicated().any()


def test_yesterday(marts: duckdb.DuckDBPyConnection, events: pd.DataFrame) -> None:
    last = events["event_ts"].max().normalize() - pd.Timedelta(days=1)
    expected = []
    for day in (last, last - pd.Timedelta(days=7)):
        of_day = events[events["event_ts"].dt.normalize() == day]
        purchases = of_day[of_day["event_name"] == "purchase"]
        counts = of_day["user_id"].nunique(), len(of_day), len(purchases), Decimal(int(purchases["revenue"].sum()))
        expected.append((day.date(), *counts))
    found = answer(marts, "yesterday")
    columns = found[["users", "events", "key_events", "revenue"]].itertuples(index=False)
    days = pd.to_datetime(found["day"]).dt.date
    assert [(day, *map(int, row)) for day, row in zip(days, columns, strict=True)] == expected


def test_the_retention_triangle(marts: duckdb.DuckDBPyConnection, events: pd.DataFrame) -> None:
    weeks = events["event_ts"].dt.normalize() - pd.to_timedelta(events["event_ts"].dt.day_of_week, unit="D")
    active = events.assign(week=weeks).groupby("user_id")["week"].agg(set)
    last = events["event_ts"].max()
    found = answer(marts, "retention_triangle").set_index("cohort")
    cells = 0
    for cohort, users in active.groupby(active.map(min)):
        for period in range(1, 9):
            week = cohort + pd.Timedelta(weeks=period)
            cell = found.loc[cohort, str(period)]
            if week + pd.Timedelta(weeks=1) > last:
                assert pd.isna(cell)
            else:
                cells += 1
                assert cell == round(100 * sum(week in weeks_ for weeks_ in users) / len(users), 1)
    assert cells > 8


def test_the_funnel_by_week_counts_a_user_once_in_each(marts: duckdb.DuckDBPyConnection, events: pd.DataFrame) -> None:
    week = events["event_ts"].dt.normalize() - pd.to_timedelta(events["event_ts"].dt.day_of_week, unit="D")
    users = events.assign(week=week).groupby(["week", "event_name"])["user_id"].nunique().unstack(fill_value=0)
    found = answer(marts, "funnel_by_week").set_index("week")
    assert found["entered"].to_dict() == users["page_view"].to_dict()
    assert found["converted"].to_dict() == users["purchase"].to_dict()


def test_every_model_credits_the_same_key_events(marts: duckdb.DuckDBPyConnection, events: pd.DataFrame) -> None:
    since = pd.Timestamp(events["event_ts"].max().date()) - pd.Timedelta(days=27)
    purchases = ((events["event_name"] == "purchase") & (events["event_ts"] >= since)).sum()
    found = answer(marts, "channel_attribution")
    for model in ("first", "last_non_direct", "linear", "position_based"):
        assert float(found[model].sum()) == pytest.approx(purchases, abs=0.3)


def test_champions_at_risk_are_the_best_at_risk(marts: duckdb.DuckDBPyConnection) -> None:
    found = answer(marts, "champions_at_risk")
    assert set(found["rfm_segment"]) <= {"champions", "loyal", "cant_lose"}
    assert found["at_stake"].is_monotonic_decreasing
    assert (found["at_stake"] == (found["revenue"].astype(float) * 0.8).round(2)).all()


def test_slow_steps_are_of_the_last_night_beside_the_thirty_before(marts: duckdb.DuckDBPyConnection) -> None:
    found = answer(marts, "slow_steps")
    assert found["part_of"].fillna("").tolist() == ["", "dbt_models", ""]
    # Night n took n times as long, but the last three times: the median of nights 10 to 39 is 24.5 times.
    assert found.drop(columns="part_of").values.tolist() == [
        ["dbt_models", 30, 245, 10, 7, 250],
        ["marts.users", 27, 220.5, 9, 7, 250],
        ["publish", 3, 24.5, 1, 7, 250],
    ]


def test_in_the_prompt_they_are_views(marts: duckdb.DuckDBPyConnection, tmp_path: object) -> None:
    settings = Settings(data_dir=tmp_path)  # type: ignore[arg-type]
    marts.execute(
        """
        create or replace table ops.loads as select 'a' as load_id, 1 as load_seq, 'live' as status,
            timestamp '2025-01-01' as first_event_ts, timestamp '2025-01-02' as last_event_ts
        """
    )
    publish(marts, settings, run_id="run", gates=[])
    said = subprocess.run(
        [sys.executable, "-m", "orchestration.prompt"],
        cwd=PROJECT_ROOT,
        env={"AVILA_DATA_DIR": str(settings.root), "PYTHONPATH": str(PROJECT_ROOT)},
        input=".mode csv\n" + "".join(f"select '{name}', count(*) > 0 from {name};\n" for name in queries()),
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stderr == ""
    assert {line for line in said.stdout.splitlines() if line.endswith("true")} == {
        f"{name},true" for name in queries()
    }
