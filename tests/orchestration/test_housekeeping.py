"""What is kept of the past, what goes, and how large the warehouse file may become."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from dagster import (
    AssetCheckResult,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    asset,
    asset_check,
    define_asset_job,
)

from ml.churn import CHURN
from orchestration.declarations import DeclarationError, Declarations
from orchestration.models import is_stored
from orchestration.nightly import prepare_dagster
from orchestration.nights.compaction import GROWN, CopyDiffers, compact
from orchestration.nights.keeping import Keep, Pruned, prune_models, prune_records, prune_runs
from orchestration.nights.stopwatch import utc_now
from orchestration.settings import Settings
from orchestration.warehouse import connect

NOW = datetime(2025, 6, 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, memory_limit="500MB", threads=1)


def declared(tmp_path: Path, keep: str) -> Keep:
    path = tmp_path / "avila.yml"
    path.write_text(f"sources:\n  web:\n    path: landing/*.csv\nkeep: {keep}\n")
    return Declarations.load(path).keep


def test_the_policy_is_declared(tmp_path: Path) -> None:
    assert declared(tmp_path, "{runs_days: 7, records_days: 30}") == Keep(runs_days=7, records_days=30)
    assert "keep" not in Declarations.load(tmp_path / "avila.yml").dbt_vars()
    with pytest.raises(DeclarationError, match=r"line 4: unknown key `keep.run_days`; did you mean `runs_days`\?"):
        declared(tmp_path, "{run_days: 7}")
    with pytest.raises(DeclarationError, match=r"`keep.model_versions`: expected .*greater than or equal to 1"):
        declared(tmp_path, "{model_versions: 0}")


def test_records_go_by_age_but_for_those_of_the_newest_publication(settings: Settings) -> None:
    with connect(settings) as connection:
        for number, (run, days) in enumerate([("a", 900), ("b", 731), ("c", 729), ("d", 800)]):
            moment = NOW - timedelta(days=days)
            for step in (None, "dbt_models"):
                query = "insert into ops.runs (run_id, started_at, step) values (?, ?, ?)"
                connection.execute(query, [run, moment, step])
            query = "insert into ops.publications (run_id, published_at, publication_number) values (?, ?, ?)"
            connection.execute(query, [run, moment, number])
        assert prune_records(connection, Keep(), now=NOW) == 6
        assert connection.execute("select run_id from ops.runs order by all").fetchall() == [
            (run,) for run in ("c", "c", "d", "d")
        ]
        assert connection.execute("select run_id from ops.publications order by all").fetchall() == [("c",), ("d",)]


def test_the_champion_and_the_newest_trainings_stay(settings: Settings) -> None:
    with connect(settings) as connection:
        for number in range(8):
            for model in ("churn", "conversion"):
                home = settings.models / model / f"xgboost-{number}"
                home.mkdir(parents=True)
                (home / "model.ubj").touch()
                connection.execute(
                    "insert into ops.model_versions (model, version, trained_at, is_champion, path) "
                    "values (?, ?, ?, ?, 'there')",
                    [model, home.name, NOW + timedelta(days=number), number == 1],
                )
                (settings.models / model / "latest").write_text("xgboost-2\n")
        assert prune_models(connection, settings, Keep(model_versions=3)) == 6
        for model in ("churn", "conversion"):
            left = {path.name for path in (settings.models / model).iterdir() if path.is_dir()}
            assert left == {f"xgboost-{number}" for number in (1, 2, 5, 6, 7)}
            query = "select version from ops.model_versions where model = ? and path is not null"
            assert {version for (version,) in connection.execute(query, [model]).fetchall()} == left
        assert prune_models(connection, settings, Keep(model_versions=3)) == 0
        # Scores of a version that is gone are no error: they are given anew.
        assert not is_stored(connection, settings, CHURN, "xgboost-0")


@asset
def made() -> MaterializeResult:
    return MaterializeResult(metadata={"dagster/row_count": 1})


@asset_check(asset=made)
def often() -> AssetCheckResult:
    return AssetCheckResult(passed=True)


@asset_check(asset=made)
def seldom() -> AssetCheckResult:
    return AssetCheckResult(passed=False)


DEFINITIONS = Definitions(
    assets=[made],
    asset_checks=[often, seldom],
    jobs=[define_asset_job("nightly")],
)


@pytest.fixture
def instance(settings: Settings) -> Iterator[DagsterInstance]:
    prepare_dagster(settings)
    with DagsterInstance.from_config(str(settings.dagster_home), "night.yaml") as made:
        yield made


def test_runs_go_with_their_events_and_logs_and_leave_the_last_answer_to_each_check(
    settings: Settings, instance: DagsterInstance
) -> None:
    storage = settings.dagster_home / "storage"
    runs = []
    for _ in range(2):
        job = DEFINITIONS.resolve_job_def("nightly")
        runs.append(job.execute_in_process(instance=instance).run_id)
        (storage / runs[-1] / "compute_logs").mkdir(parents=True, exist_ok=True)
    (storage / "gone" / "compute_logs").mkdir(parents=True)
    (storage / "pictures").mkdir(exist_ok=True)
    for path in (storage / "pictures" / name for name in ("old.svg", "old.png", "new.svg")):
        path.touch()
    for path in (storage / "gone", storage / "pictures" / "old.svg", storage / "pictures" / "old.png"):
        os.utime(path, (0, 0))
    keep = Keep(runs_days=10)
    assert prune_runs(instance, settings, keep, now=utc_now() + timedelta(days=9)) == (0, 3)
    assert instance.get_runs_count() == 2
    assert not (storage / "gone").exists()
    assert [path.name for path in (storage / "pictures").iterdir()] == ["new.svg"]

    assert prune_runs(instance, settings, keep, now=utc_now() + timedelta(days=11)) == (2, 3)
    assert instance.get_runs_count() == 0
    assert not [path for run in runs for path in settings.dagster_home.rglob(f"{run}*")]
    answers = instance.event_log_storage.get_latest_asset_check_execution_by_key([often.check_key, seldom.check_key])
    assert {key.name: record.evaluation.passed for key, record in answers.items()} == {"often": True, "seldom": False}
    assert {record.run_id for record in answers.values()} == {runs[-1]}
    with instance.event_log_storage.index_connection() as connection:
        for table, rows in (("asset_check_executions", 2), ("event_logs", 0)):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar() == rows


def test_what_was_pruned_is_said_only_where_something_was() -> None:
    assert str(Pruned()) == ""
    assert str(Pruned(runs=2, records=3000)).endswith("2 runs, 3,000 records")


def fill(settings: Settings) -> None:
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("create or replace table marts.large as select hash(range) as noise from range(500000)")
        connection.execute("checkpoint")


def test_a_file_that_has_grown_is_copied_whole(settings: Settings) -> None:
    with connect(settings) as connection:
        connection.execute("insert into increments.work_done values ('a', 'b', 'c')")
        connection.execute("comment on table ops.runs is 'It''s commented'")
        connection.execute("comment on column ops.runs.run_id is 'This, too'")
    fill(settings)
    with connect(settings) as connection:
        connection.execute("create view marts.some as select * from warehouse.marts.large limit 5")
    assert compact(settings) is None
    fill(settings)
    before, described = settings.warehouse.stat().st_size, catalog(settings)
    done = compact(settings)
    assert done is not None
    assert (done.before, done.after) == (before, settings.warehouse.stat().st_size)
    assert done.after < before / GROWN
    assert catalog(settings) == described
    assert compact(settings) is None
    with connect(settings) as connection:
        # A key is still a key.
        connection.execute("insert or replace into increments.work_done values ('a', 'x', 'y')")
        assert connection.execute("from increments.work_done").fetchall() == [("a", "x", "y")]
        assert connection.execute("select count(*), sum(noise) from marts.large").fetchall()[0][0] == 500_000
        assert connection.execute("select count(*) from marts.some").fetchall() == [(5,)]


def catalog(settings: Settings) -> list[list[tuple[object, ...]]]:
    queries = (
        "select table_schema, table_name, column_name, data_type, is_nullable from information_schema.columns",
        "select schema_name, table_name, comment, estimated_size from duckdb_tables()",
        "select schema_name, table_name, column_name, comment from duckdb_columns() where comment is not null",
        "select schema_name, table_name, constraint_text from duckdb_constraints()",
        "select schema_name, view_name, sql from duckdb_views() where not internal",
    )
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return [connection.execute(f"{query} order by all").fetchall() for query in queries]


def test_a_copy_that_was_killed_or_differs_leaves_the_warehouse(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(settings):
        pass
    fill(settings)
    fill(settings)
    before = settings.warehouse.read_bytes()
    left_over = settings.warehouse.with_name(".compact.duckdb")
    with monkeypatch.context() as patch:
        counts = iter([{"marts.large": 2}, {"marts.large": 1}])
        patch.setattr("orchestration.nights.compaction._rows", lambda *_: next(counts))
        with pytest.raises(CopyDiffers):
            compact(settings)
    assert settings.warehouse.read_bytes() == before
    left_over.write_bytes(b"half a copy")
    assert compact(settings) is not None
    assert not left_over.exists()


def test_a_disk_that_is_full_leaves_the_warehouse(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(settings):
        pass
    fill(settings)
    fill(settings)
    before = settings.warehouse.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestration.nights.compaction.sync", full)
    with pytest.raises(OSError, match="No space"):
        compact(settings)
    assert settings.warehouse.read_bytes() == before
    assert [path.name for path in settings.warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_no_warehouse_is_no_reason_to_fail(settings: Settings) -> None:
    assert compact(settings) is None
