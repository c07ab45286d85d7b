"""What is done after a night never fails it, and leaves its figures whatever else could not be done."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from dagster import DagsterInstance, Definitions, asset, define_asset_job, resource

from orchestration import disk, nightly, ui
from orchestration.declarations import Declarations
from orchestration.house import House
from orchestration.nights import morning
from orchestration.nights.lock import locked
from orchestration.nights.logs import Voice
from orchestration.nights.outcome import outcome_of
from orchestration.nights.runs import finish_run, start_run
from orchestration.nights.stopwatch import Stopwatch, start, stop, utc_now
from orchestration.settings import Settings
from orchestration.verify import ROOMS
from orchestration.warehouse import connect
from tests.orchestration.figures import figures_of


@pytest.fixture
def house(tmp_path: Path) -> House:
    settings = Settings(data_dir=tmp_path, memory_limit="500MB", threads=1)
    settings.declarations.write_text("sources: {web: {path: landing/*.csv}}\nkeep: {records_days: 10}\n")
    return House(settings=settings, declarations=Declarations.load(settings.declarations))


@pytest.fixture
def stopwatch() -> Iterator[Stopwatch]:
    made = start("run")
    with made.part("a"):
        pass
    yield made
    stop("run")


class Heard(list[str]):
    """What was said and what was warned of."""

    def tidy(self, house: House, stopwatch: Stopwatch) -> str:
        """Gives how the run came out, as the figures have it."""
        morning.tidy(house, stopwatch, None, say=self.append, warn=lambda text: self.append(f"WARNING {text}"))
        outcomes = figures_of(house.settings.metrics)["avila_run_outcome"]
        ((((_, outcome),), _),) = [item for item in outcomes.items() if item[1]]
        return outcome


def statuses(house: House) -> list[tuple[str | None, str]]:
    with duckdb.connect(str(house.settings.warehouse), read_only=True) as connection:
        return connection.execute("select step, status from ops.runs order by step nulls first").fetchall()


@pytest.mark.parametrize(
    ("failed", "blocked", "status"), [(True, False, "failed"), (True, True, "blocked"), (False, False, "done")]
)
def test_a_run_that_nothing_is_known_of_yet_is_put_on_record(
    house: House, stopwatch: Stopwatch, failed: bool, blocked: bool, status: str
) -> None:
    stopwatch.failed, stopwatch.blocked, heard = failed, blocked, Heard()
    assert heard.tidy(house, stopwatch) == status
    assert statuses(house) == [(None, status), ("a", "success")]
    assert heard == []


def test_what_publishing_said_of_the_run_stands(house: House, stopwatch: Stopwatch) -> None:
    with connect(house.settings) as connection:
        start_run(connection, run_id="run", started_at=utc_now())
        finish_run(connection, run_id="run", finished_at=utc_now(), status="published")
        connection.execute("insert into ops.publications (run_id, publication_number) values ('run', 1)")
    assert Heard().tidy(house, stopwatch) == "published"
    assert statuses(house)[0] == (None, "published")


def test_a_run_that_fell_over_while_it_published_has_failed(house: House, stopwatch: Stopwatch) -> None:
    with connect(house.settings) as connection:
        for run_id in ("killed", "run"):
            connection.execute("insert into ops.runs (run_id, status) values (?, 'published')", [run_id])
    stopwatch.failed = True
    assert Heard().tidy(house, stopwatch) == "failed"
    with connect(house.settings) as connection:
        start_run(connection, run_id="next", started_at=utc_now())
        found = connection.execute("select status from ops.runs where run_id = 'killed'").fetchall()
    assert found == [("failed",)]


def test_records_go_by_the_policy_and_that_is_said(house: House, stopwatch: Stopwatch) -> None:
    with connect(house.settings) as connection:
        connection.execute("insert into ops.runs (run_id, started_at) values ('old', timestamp '2020-01-01')")
    heard = Heard()
    heard.tidy(house, stopwatch)
    assert "pruned, as `keep` in avila.yml says: 1 records" in heard


def test_a_broken_warehouse_costs_the_record_alone(house: House, stopwatch: Stopwatch) -> None:
    house.settings.warehouse.parent.mkdir()
    house.settings.warehouse.write_bytes(b"no database" * 1000)
    heard = Heard()
    assert heard.tidy(house, stopwatch) == "failed"
    assert [text.split(":")[0] for text in heard] == [
        "WARNING the run could not be put on record",
        "WARNING housekeeping",
        "WARNING housekeeping",
    ]


def test_no_part_keeps_another_from_being_done(
    house: House, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("_prune", "_compact", "write_metrics"):
        monkeypatch.setattr(morning, name, fails)
    heard: list[str] = []
    morning.tidy(house, stopwatch, None, say=heard.append, warn=heard.append)
    assert len(heard) == 3
    assert all("No space left on device" in text for text in heard)
    assert statuses(house) == [(None, "done"), ("a", "success")]


def test_what_a_killed_comparison_left_goes_and_one_under_way_is_let_be(house: House, stopwatch: Stopwatch) -> None:
    left, used = (house.settings.warehouse.parent / name for name in ROOMS)
    for room in (left, used):
        (room / "warehouse").mkdir(parents=True)
    with locked(used.with_name(f".{used.name}.lock")):
        assert Heard().tidy(house, stopwatch) == "done"
    assert (left.exists(), used.exists()) == (False, True)


def raises(error: Exception) -> Callable[..., None]:
    def run_night(*_: object) -> None:
        raise error

    return run_night


def readonly() -> sqlite3.OperationalError:
    """As SQLite says that a file may not be written."""
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = "SQLITE_READONLY"
    return error


@pytest.mark.parametrize(
    ("error", "free"),
    [(OSError(28, "No space left on device"), 1 << 40), (sqlite3.OperationalError("disk I/O error"), 1 << 20)],
)
def test_a_run_whose_own_records_find_no_room_says_so(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    free: int,
) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(nightly, "run_night", raises(error))
    assert nightly.main() == 1
    said = capsys.readouterr().err
    assert f"The disk of {house.settings.root} is full" in said
    assert str(error) in said
    assert figures_of(house.settings.metrics)["avila_run_outcome"][(("outcome", "failed"),)] == 1


def test_another_error_is_not_taken_for_a_full_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 40))
    monkeypatch.setattr(nightly, "run_night", raises(sqlite3.OperationalError("disk I/O error")))
    with pytest.raises(sqlite3.OperationalError):
        nightly.main()


def test_a_broken_history_is_named_with_its_cure(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    history = house.settings.dagster_home / "history"
    history.mkdir(parents=True)
    (history / "runs.db").write_bytes(b"broken" * 2000)

    def begin(settings: Settings, voice: Voice) -> None:
        nightly.prepare_dagster(settings)
        DagsterInstance.from_config(str(settings.dagster_home), "night.yaml")

    # It is put back when the test is over.
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setattr(nightly, "run_night", begin)
    assert nightly.main() == 1
    said = capsys.readouterr().err
    assert f"{history} is broken (file is not a database)" in said
    assert "Move that directory away" in said
    assert figures_of(house.settings.metrics)["avila_run_outcome"][(("outcome", "failed"),)] == 1


def test_a_run_that_fails_before_its_first_step_is_no_night(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @resource
    def night() -> None:
        raise duckdb.IOException("Could not set lock on file: PID 7 holds it")

    @asset(required_resource_keys={"night"})
    def marts() -> None: ...

    defs = Definitions(assets=[marts], jobs=[define_asset_job("nightly")], resources={"night": night})
    monkeypatch.setitem(sys.modules, "orchestration.definitions", SimpleNamespace(defs=defs))
    monkeypatch.setattr("orchestration.house.open_house", lambda: house)
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert nightly.main() == 1
    said = capsys.readouterr()
    assert "PID 7 holds it" in said.err
    assert "The night was not published" in said.err
    assert not said.out
    with DagsterInstance.from_config(str(house.settings.dagster_home)) as instance:
        (run,) = instance.get_runs()
        assert list(outcome_of(instance, run.run_id).failures) == ["run"]
        assert "PID 7 holds it" in outcome_of(instance, run.run_id).failures["run"]


@pytest.mark.parametrize(
    ("file", "named"),
    [("history/runs.db", "history"), ("history/runs/index.db", "history"), ("schedules/schedules.db", "schedules")],
)
def test_a_ui_whose_records_are_broken_names_the_cure_and_does_not_begin(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str, named: str
) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    monkeypatch.setenv("AVILA_UI_PORT", "1")
    monkeypatch.setenv("DAGSTER_HOME", "")
    broken = house.settings.dagster_home / file
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"broken" * 2000)
    assert ui.main() == 1
    said = capsys.readouterr().err
    assert f"{house.settings.dagster_home / named} is broken (file is not a database)" in said
    assert "Move that directory away" in said


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (PermissionError(13, "Permission denied", "warehouse/.night.lock"), "chown"),
        (OSError(30, "Read-only file system", "warehouse/.night.lock"), "mount"),
        (readonly(), "chown"),
    ],
)
def test_a_data_directory_that_may_not_be_written_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, cure: str
) -> None:
    monkeypatch.setenv("AVILA_DATA_DIR", str(house.settings.root))
    monkeypatch.setattr(nightly, "run_night", raises(error))
    assert nightly.main() == 1
    said = capsys.readouterr().err
    assert f"{house.settings.root} cannot be written ({error})" in said
    assert cure in said
