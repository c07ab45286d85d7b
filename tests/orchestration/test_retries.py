"""What may pass is tried again, later and later; what will not is not."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import (
    AssetExecutionContext,
    DagsterEventType,
    Definitions,
    InitResourceContext,
    MaterializeResult,
    asset,
    in_process_executor,
    resource,
)

from orchestration.defs.resources import listen_to, note
from orchestration.gates import PublicationBlocked
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.lake import Lake
from orchestration.ingestion.landing import Landing
from orchestration.ingestion.object_store import BucketError
from orchestration.ingestion.sources import Source
from orchestration.nights.lock import NightRunning
from orchestration.nights.retries import LONGEST_SECONDS, TRIES, may_pass, patiently, pause, retried
from orchestration.nights.stopwatch import Stopwatch, start, stop
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import DbtFailed, connect
from tests.orchestration.locking import DUCKDB, held_by_another

LOCKED = 'IO Error: Could not set lock on file "warehouse.duckdb": Conflicting lock is held in python3.11 (PID 7)'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (duckdb.IOException(LOCKED), True),
        (DbtFailed(LOCKED, []), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), True),
        (NightRunning("is being written already"), True),
        (UnreadableFileError("a.csv: cannot be read", may_pass=True), True),
        (UnreadableFileError("a.csv: no readable Parquet file"), False),
        (BucketError("s3://none/*: there is no such bucket"), False),
        (DbtFailed("not_null_users_user_key: Got 3 results, configured to fail if != 0", []), False),
        (PublicationBlocked("a gate failed"), False),
        (duckdb.IOException("IO Error: No space left on device"), False),
        (duckdb.BinderException("Binder Error: no column 'lock'"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False),
        (sqlite3.OperationalError("no such table: loads"), False),
        (KeyError("sources"), False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(error: Exception, expected: bool) -> None:
    assert may_pass(error) is expected


def test_a_locked_catalogue_may_pass(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("begin immediate")
    assert may_pass(caught.value)


def test_waits_grow_to_a_limit_and_no_two_are_alike() -> None:
    for number, longest in enumerate([5, 10, 20, 40, 60, 60]):
        waits = [pause(number, 5) for _ in range(200)]
        assert longest / 2 <= min(waits)
        assert max(waits) <= longest
        assert len(set(waits)) > 190
    assert pause(99, 5) <= LONGEST_SECONDS


def test_a_locked_warehouse_is_waited_for(tmp_path: Path) -> None:
    """Two processes: a lock within one would not be one."""
    settings = Settings(data_dir=tmp_path)
    said: list[str] = []
    with connect(settings):
        pass
    with held_by_another(settings.warehouse, DUCKDB) as holder:

        def say(text: str) -> None:
            said.append(text)
            holder.communicate("")

        def work() -> str:
            with connect(settings):
                return "opened"

        assert patiently(work, first_seconds=0.1, say=say) == "opened"
    assert len(said) == 1
    assert "Could not set lock" in said[0]


def test_patience_ends_and_is_not_lost_on_what_stays() -> None:
    def fail(error: Exception) -> int:
        calls: list[None] = []

        def work() -> None:
            calls.append(None)
            raise error

        with pytest.raises(type(error)):
            patiently(work, first_seconds=0.0, say=lambda text: None, patience=0.3)
        return len(calls)

    assert fail(ValueError("bad")) == 1
    assert fail(duckdb.IOException(LOCKED)) == TRIES + 1
    assert 2 <= fail(NightRunning("held")) <= 4


def events_of(work: Any, **ignored: Any) -> tuple[bool, list[DagsterEventType], str]:
    """Run one asset that does some work; whether it succeeded, its events, and why it failed."""

    @asset
    def step(context: AssetExecutionContext) -> None:
        with retried(context, 0.0):
            work()

    result = Definitions(assets=[step], executor=in_process_executor).resolve_implicit_global_asset_job_def()
    done = result.execute_in_process(raise_on_error=False)
    kinds = [event.event_type for event in done.all_events]
    from orchestration.nights.outcome import step_failure

    said = next((step_failure(event) for event in done.all_events if event.is_step_failure), "")
    return done.success, kinds, said


def test_dagster_tries_a_step_again_until_the_fault_has_passed() -> None:
    left = [duckdb.IOException(LOCKED)] * 2

    def work() -> None:
        if left:
            raise left.pop()

    succeeded, kinds, _ = events_of(work)
    assert succeeded
    assert kinds.count(DagsterEventType.STEP_UP_FOR_RETRY) == 2


def test_what_runs_while_a_step_waits_is_no_part_of_it() -> None:
    left = [duckdb.IOException(LOCKED)]

    @asset
    def first(context: AssetExecutionContext) -> None:
        with retried(context, 0.0):
            if left:
                raise left.pop()

    @asset
    def second() -> None: ...

    job = Definitions(assets=[first, second], executor=in_process_executor).resolve_implicit_global_asset_job_def()
    stopwatch = Stopwatch("run")
    for event in job.execute_in_process().all_events:
        note(stopwatch, event)
    stopwatch.close()
    assert [(step.step, step.part_of, step.status) for step in stopwatch.steps] == [
        ("first", None, "success"),
        ("second", None, "success"),
    ]


def test_a_run_started_on_an_assets_page_is_timed_and_told_of_too() -> None:
    made: list[Stopwatch] = []

    @resource
    def night(context: InitResourceContext) -> Iterator[None]:
        assert context.log is not None
        assert context.run is not None
        listen_to(context.log)
        made.append(start(context.run.run_id))
        yield
        stop(context.run.run_id)

    @asset(required_resource_keys={"night"})
    def first() -> MaterializeResult:
        return MaterializeResult(metadata={"dagster/row_count": 7})

    @asset(deps=[first], required_resource_keys={"night"})
    def second() -> None:
        raise ValueError("no")

    job = Definitions(
        assets=[first, second], resources={"night": night}, executor=in_process_executor
    ).resolve_implicit_global_asset_job_def()
    assert not job.execute_in_process(raise_on_error=False).success
    (stopwatch,) = made
    assert stopwatch.failed
    assert [(step.step, step.status, step.rows) for step in stopwatch.steps] == [
        ("first", "success", 7),
        ("second", "failed", None),
    ]


def test_a_fault_that_stays_fails_the_step_in_its_own_words() -> None:
    def locked() -> None:
        raise duckdb.IOException(LOCKED)

    def wrong() -> None:
        raise ValueError("sources.web.path is missing")

    succeeded, kinds, said = events_of(locked)
    assert not succeeded
    assert kinds.count(DagsterEventType.STEP_UP_FOR_RETRY) == TRIES
    assert "Could not set lock" in said
    succeeded, kinds, said = events_of(wrong)
    assert not succeeded
    assert DagsterEventType.STEP_UP_FOR_RETRY not in kinds
    assert "sources.web.path is missing" in said


def source(**options: Any) -> Source:
    return Source.model_validate({"name": "web", "placeholder_ids": (), **options})


def test_a_share_that_does_not_answer_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share, dump = tmp_path / "share", tmp_path / "share" / "a.csv"
    share.mkdir()
    dump.write_text("event_ts,event_name,user_id\n2025-01-01,x,u\n")
    web = source(path="share/*.csv", removed_files="withdraw")
    with closing(Lake(tmp_path / "lake")) as lake:
        lake.load(web, data_dir=tmp_path, memory_limit="1GB", threads=1)
        listed = os.scandir

        def stale(path: Any = ".") -> Any:
            if path == share:
                raise OSError(errno.ESTALE, "Stale file handle")
            return listed(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", stale)
            report = lake.load(web, data_dir=tmp_path, memory_limit="1GB", threads=1)
        assert report.failures == report.passing
        assert f"{share} cannot be listed (Stale file handle)" in report.failures[0]
        # Its rows would have been withdrawn with its files.
        assert lake.is_loaded("web")
        dump.unlink()
        lake.load(web, data_dir=tmp_path, memory_limit="1GB", threads=1)
        assert not lake.is_loaded("web")


def test_a_dump_that_is_no_dump_will_not_pass(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("PAR1, but no more than that")
    with closing(Lake(tmp_path / "lake")) as lake:
        report = lake.load(source(path="*.parquet"), data_dir=tmp_path, memory_limit="1GB", threads=1)
    assert report.failures
    assert report.passing == ()


def test_a_directory_that_may_not_be_read_is_told_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Any = ".") -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    landing = Landing(source(path="a/*.csv"), tmp_path, staging=tmp_path, memory_limit="1GB")
    assert len(landing.failures) == 1
    assert landing.passing == []


NIGHT = """
from dataclasses import replace
from dagster import AssetKey, DagsterInstance
from orchestration.definitions import defs
from orchestration.ingestion.lake import Lake

load = Lake.load
job = defs.resolve_job_def("nightly")
for faults in (2, 99):
    left = faults
    def failing(self, *args, **options):
        global left
        report = load(self, *args, **options)
        left -= 1
        fault = ("s3://shop: the endpoint fails (HTTP 503)",) if left >= 0 else ()
        return replace(report, failures=fault, passing=fault)
    Lake.load = failing
    with DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, asset_selection=[AssetKey(["lake", "web"])]
        )
    retries = sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    print(result.success, retries, checks["every_file_could_be_read"], checks["something_is_loaded"])
"""


@pytest.mark.slow
def test_an_endpoint_that_fails_is_asked_again_and_told_of_in_the_end(tmp_path: Path) -> None:
    (tmp_path / "avila.yml").write_text("sources: {web: {path: 'landing/*.csv'}}\n")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text("event_ts,event_name,user_id\n2025-01-01,x,u\n")
    environment = {**os.environ, "AVILA_DATA_DIR": str(tmp_path), "AVILA_RETRY_SECONDS": "0", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", NIGHT], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # What could be loaded was loaded all the same, so the night goes on.
    assert done.stdout.splitlines() == ["True 2 True True", f"True {TRIES} False True"]
