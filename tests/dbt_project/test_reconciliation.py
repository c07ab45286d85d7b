"""Each gate across layers bites: a warehouse is built, one fault is planted, and its test alone must fail."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.failing_rows import told
from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect, run_dbt
from tests.conftest import VARIABLES, cohorts, funnel, write_lake
from tests.dbt_project.histories import Project

GATES = (
    "assert_every_row_of_the_lake_is_in_the_marts_once",
    "assert_every_reject_is_on_record",
    "assert_revenue_in_is_revenue_out",
    "assert_events_sessions_and_days_agree_on_users",
    "assert_users_agree_with_their_sessions",
)
VOLUME = ("assert_no_day_is_far_off_its_weekday", "assert_no_source_skips_a_day")


def events() -> pd.DataFrame:
    """Ten weeks of forty events a day, two copies among them."""
    began = datetime(2025, 1, 6, 9)
    rows = [
        {
            "event_id": f"{day}-{number}",
            "event_ts": began + timedelta(days=day, minutes=number),
            "user_id": f"u{number % 9}",
            "event_name": "purchase" if number % 5 == 0 else "view",
            "revenue": 10.25 if number % 5 == 0 else None,
        }
        for day in range(70)
        for number in range(40)
    ]
    return pd.DataFrame([*rows, rows[3], rows[400]])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data_dir=tmp_path_factory.mktemp("reconciled"))
    write_lake(settings, events())
    run_dbt(["run"], settings, project(()).variables, parsed=project(()).parsed)
    return settings


@pytest.fixture
def sound(settings: Settings) -> Iterator[Settings]:
    """The warehouse, as it was once more when the test is over."""
    whole = settings.warehouse.read_bytes()
    yield settings
    settings.warehouse.write_bytes(whole)
    Path(f"{settings.warehouse}.wal").unlink(missing_ok=True)


@cache
def project(gates: tuple[tuple[str, str], ...]) -> Project:
    funnels = [funnel("bought", ["view", "purchase"], window=3600, order="ordered")]
    return Project.parse(
        {
            "gates": {**VARIABLES["gates"], **dict(gates)},
            "funnels": funnels,
            "cohorts": cohorts(brackets="1-29", properties=["source"]),
        }
    )


def failed(settings: Settings, names: tuple[str, ...], **gates: str) -> dict[str, str]:
    """How each test came out that did not pass: `fail` or `warn`."""
    read = project(tuple(sorted(gates.items())))
    try:
        results = run_dbt(["test", "--select", *names], settings, read.variables, parsed=read.parsed).results
    except DbtFailed as error:
        results = error.results
    assert len(results) == len(names)
    return {result.node.name: str(result.status) for result in results if result.status != "pass"}


def test_a_sound_warehouse_passes(settings: Settings) -> None:
    assert failed(settings, GATES + VOLUME) == {}


@pytest.mark.parametrize(
    ("fault", "gate"),
    [
        ("update ops.loads set rows = rows + 1", GATES[0]),
        ("insert into ops.rejects values ('load', 'test', 'dump', 1, 'x', 'no reason')", GATES[1]),
        ("update ops.loads set rejected = 2", GATES[1]),
        ("update marts.user_days set revenue = revenue + 0.0001 where user_key = 'u0'", GATES[2]),
        ("update marts.sessions set user_key = 'nobody' where session_date = '2025-01-06'", GATES[3]),
        ("delete from marts.user_days where user_key = 'u7'", GATES[3]),
        ("delete from marts.users where user_key = 'u8'", GATES[4]),
        ("update marts.users set revenue = revenue + 0.0001 where user_key = 'u0'", GATES[4]),
    ],
)
def test_a_planted_fault_fails_its_gate(sound: Settings, fault: str, gate: str) -> None:
    with duckdb.connect(str(sound.warehouse)) as connection:
        connection.execute(fault)
    assert gate in failed(sound, GATES)
    assert failed(sound, GATES)[gate] == "fail"
    assert failed(sound, GATES, reconciliation="warn")[gate] == "warn"


@pytest.mark.parametrize(
    ("fault", "gate"),
    [
        ("events = 4 * events", VOLUME[0]),
        ("events = 1", VOLUME[0]),
        ("events = 0", VOLUME[1]),
    ],
)
def test_a_day_unlike_its_weekday_warns_or_blocks(sound: Settings, fault: str, gate: str) -> None:
    with duckdb.connect(str(sound.warehouse)) as connection:
        connection.execute(
            f"update intermediate.int_source_days set {fault} where day = (select max(day) - 7 from "
            "intermediate.int_source_days)"
        )
    assert failed(sound, VOLUME) == {gate: "warn"}
    assert failed(sound, VOLUME, volume="block") == {gate: "fail"}


def test_a_source_of_a_few_events_a_day_may_skip_one(sound: Settings) -> None:
    with duckdb.connect(str(sound.warehouse)) as connection:
        connection.execute(
            "update intermediate.int_source_days set usual_events = 2, events = 0 "
            "where day = (select max(day) - 7 from intermediate.int_source_days)"
        )
    assert failed(sound, VOLUME) == {}


def test_a_failed_test_shows_the_rows_and_the_cure(sound: Settings) -> None:
    with duckdb.connect(str(sound.warehouse)) as connection:
        connection.execute("update intermediate.int_source_days set events = 0 where day = '2025-03-10'")
        connection.execute("insert into marts.users from marts.users where user_key in ('u1', 'u2', 'u3', 'u4')")
    names = (VOLUME[1], "unique_users_user_key")
    read = project(())
    with pytest.raises(DbtFailed) as failure:
        run_dbt(["test", "--select", *names], sound, read.variables, parsed=read.parsed)
    with connect(sound) as connection:
        said = {result.node.name: told(connection, result) for result in failure.value.results}
        message = failure.value.results[0].message
        connection.execute("drop table marts.users; drop table intermediate.int_source_days")
        assert told(connection, failure.value.results[0]) == message
    assert said == {
        VOLUME[1]: (
            "Rows that must not be: 1, such as source test, day 2025-03-10, events 0, weeks_known 8, "
            "usual_events 40.0. Load the dumps that are missing. `gates: {volume: …}` says whether such days block."
        ),
        "unique_users_user_key": (
            "Rows that must not be: 4, such as unique_field u1, n_records 2; unique_field u2, n_records 2; "
            "unique_field u3, n_records 2."
        ),
    }


def test_a_mart_refuses_values_that_it_does_not_name(sound: Settings) -> None:
    checked = {
        (node["name"], column["name"]): column["data_type"]
        for node in project(()).manifest["nodes"].values()
        for column in node.get("columns", {}).values()
        if any(constraint["type"] == "check" for constraint in column["constraints"])
    }
    assert len(checked) > 10
    with duckdb.connect(str(sound.warehouse)) as connection:
        for (mart, column), kind in checked.items():
            connection.execute(f"create or replace temp table one as from marts.{mart} limit 1")
            connection.execute(f"update one set {column} = {'6' if kind == 'integer' else repr('none')}")
            assert connection.execute("select count(*) from one").fetchall() == [(1,)], mart
            with pytest.raises(duckdb.ConstraintException, match=column):
                connection.execute(f"insert into marts.{mart} from one")
