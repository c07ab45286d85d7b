"""A broken warehouse is recognised and given up; a busy one, or one on a full disk, is not."""

import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from orchestration.nights.damage import is_broken, suspect, suspicion
from orchestration.nights.lock import NightRunning, hold, lock_file
from orchestration.nights.recovery import fault, forget, last_recovery, recover
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect
from tests.orchestration.publishing import build, publish_night

SCORES = """
    ('churn', 'ada', date '2025-01-01', 0.25, 3, 'xgboost-1', 30, null, true),
    ('churn', 'ada', date '2025-01-08', 0.5, 5, 'xgboost-2', 30, null, null),
    ('conversion', 'bob', date '2025-01-08', 0.75, 9, 'base-rate-1', 7, 'buy', null)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path, memory_limit="500MB", threads=1)
    build(settings, 1)
    with connect(settings) as connection:
        connection.execute("create table marts.large as select hash(range) as noise from range(400000)")
        connection.execute(
            "create table marts.score_history as select * from (values " + SCORES + ") as scores("
            "model, user_key, as_of, probability, decile, model_version, horizon_days, event, outcome)"
        )
    publish_night(settings, 1)
    return settings


def cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)


def overwrite(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 5000)


def test_a_sound_file_and_none_at_all_are_let_be(settings: Settings, tmp_path: Path) -> None:
    assert recover(settings) is None
    assert recover(Settings(data_dir=tmp_path / "new")) is None


def test_what_a_killed_run_spilled_goes_and_what_another_spills_is_let_be(settings: Settings) -> None:
    with connect(settings) as connection:
        spilled = Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0])
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"of somebody")
    hold_it = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold_it, str(settings.warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as another:
        assert another.stdout is not None
        another.stdout.readline()
        with pytest.raises(duckdb.IOException, match="lock"):
            recover(settings)
        assert spilled.exists()
        another.communicate()
    assert recover(settings) is None
    assert not spilled.exists()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 120_000), st.booleans()), min_size=2, max_size=12))
@settings_of(max_examples=40, deadline=None)
def test_whatever_comes_and_goes_a_file_that_duckdb_left_is_sound(steps: list[tuple[int, int, bool]]) -> None:
    """DuckDB cuts free blocks off the end of a file, and goes on counting them."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), memory_limit="500MB", threads=1)
        settings.warehouse.parent.mkdir(parents=True)
        for number, rows, is_checkpoint in steps:
            with duckdb.connect(str(settings.warehouse)) as connection:
                connection.execute(f"create or replace table t{number} as select hash(range) h from range({rows})")
                if is_checkpoint:
                    connection.execute("checkpoint")
            assert fault(settings) is None


@pytest.mark.parametrize("length", [0, 100, 4096, 300_000, -262_144])
def test_a_truncated_file_is_set_aside_and_its_records_come_back(settings: Settings, length: int) -> None:
    size = settings.warehouse.stat().st_size
    cut(settings.warehouse, length if length >= 0 else size + length)
    recovery = recover(settings)
    assert recovery is not None
    assert Path(recovery.set_aside).exists()
    assert recovery.records == 4
    with connect(settings) as connection:
        assert connection.execute("from ml.churn_score_history order by as_of").fetchall() == [
            ("ada", date(2025, 1, 1), 0.25, 3, "xgboost-1", 30, None),
            ("ada", date(2025, 1, 8), 0.5, 5, "xgboost-2", 30, None),
        ]
        assert connection.execute("select user_key from ml.conversion_score_history").fetchall() == [("bob",)]
        assert connection.execute("select run_id from ops.publications").fetchall() == [("night 1",)]
        assert connection.execute("select count(*) from duckdb_tables() where schema_name = 'marts'").fetchall() == [
            (0,)
        ]
    assert recover(settings) is None
    assert last_recovery(settings) == recovery
    forget(settings)
    assert last_recovery(settings) is None


def test_the_records_of_a_file_that_was_removed_come_back(settings: Settings) -> None:
    """Its journal is not that of the new file."""
    settings.warehouse.unlink()
    journal = Path(f"{settings.warehouse}.wal")
    journal.write_bytes(b"of the file that was removed")
    recovery = recover(settings)
    assert recovery is not None
    assert (recovery.set_aside, recovery.records) == (None, 4)
    assert not journal.exists()
    assert "there is none" in str(recovery)
    assert "set aside" not in str(recovery)
    with connect(settings) as connection:
        assert connection.execute("select run_id from ops.publications").fetchall() == [("night 1",)]
    assert recover(settings) is None
    assert last_recovery(settings) == recovery


@pytest.mark.parametrize("at", [0, 4096])
def test_a_broken_header_is_recognised(settings: Settings, at: int) -> None:
    overwrite(settings.warehouse, at)
    assert fault(settings) is not None


def test_a_broken_block_is_recognised_when_it_is_read_and_mended_by_the_next_run(settings: Settings) -> None:
    overwrite(settings.warehouse, settings.warehouse.stat().st_size // 2)
    with pytest.raises(duckdb.Error), connect(settings) as connection:
        connection.execute("select sum(noise) from marts.large").fetchall()
    assert suspicion(settings).exists()
    recovery = recover(settings)
    assert recovery is not None
    assert "orrupt" in recovery.reason
    assert not suspicion(settings).exists()


def test_a_recovery_that_is_killed_is_begun_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    cut(settings.warehouse, 100)
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.nights.recovery._bring_back_records", killed)
        with pytest.raises(KeyboardInterrupt):
            recover(settings)
    recovery = recover(settings)
    assert recovery is not None
    assert recovery.records == 4


def test_what_is_not_broken_is_not_given_up(settings: Settings) -> None:
    busy = f'IO Error: Could not set lock on file "{settings.warehouse}": Conflicting lock is held'
    for message in (busy, "IO Error: No space left on device", "Catalog Error: no such table", "Out of Memory Error"):
        assert not is_broken(message)
    quoting = (
        "sessions: Runtime Error in model sessions\n  Conversion Error: Could not convert 'file truncated, corrupt'"
    )
    assert not is_broken(quoting)
    ours = "users: Runtime Error in model users\n  INTERNAL Error: Attempted to access index 3 within vector of size 3"
    assert not is_broken(ours)
    block = (
        "users: Runtime Error in model users\n  IO Error: Corrupt database file: computed checksum 1 does not match 2"
    )
    assert is_broken(block)
    assert is_broken("Corrupt database file: computed checksum 1 does not match stored checksum 2 in block at 4096")
    assert not suspect(settings, f"IO Error: could not read enough bytes from file '{settings.lake}/events/a.parquet'")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(settings.warehouse)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        with pytest.raises(duckdb.IOException, match="lock"):
            recover(settings)
        other.communicate("")
    assert recover(settings) is None


def test_a_second_night_is_told_who_holds_the_first(settings: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestration.nights.lock import hold; "
        "from orchestration.settings import Settings\n"
        "with hold(Settings(data_dir=Path(sys.argv[1])), what='make run'): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(settings.root)]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(NightRunning, match=rf"process {holder.pid}, make run, since \d{{4}}-"),
            hold(settings, what="a second"),
        ):
            pass
        holder.kill()
        holder.wait()
    with hold(settings, what="the next"), hold(settings, what="its run"):
        assert str(os.getpid()) in lock_file(settings).read_text()
    assert lock_file(settings).read_text() == ""
