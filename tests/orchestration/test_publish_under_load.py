"""Readers at work, kills, a full disk, a directory that cannot be written, and a clock set back."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration import publish as publishing
from orchestration.publish import PublicationFailed
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect
from tests.orchestration.publishing import ROWS, TABLES, build, publish_night

READERS, NIGHTS = 8, 20

READER = """
import json, sys, duckdb
marts, tables, stop = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
from pathlib import Path
query = " union all ".join(
    f"select '{t}', min(night), max(night), count(*), sum(hash(number, noise))::varchar from marts.marts.{t}"
    for t in tables
) + " union all select 'ops', max(split_part(run_id, ' ', 2)::int), max(split_part(run_id, ' ', 2)::int), 0, '' "
query += "from marts.ops.publications"
def connect():
    return duckdb.connect(marts, read_only=True)
seen, handles, number = set(), [connect()], 0
print("ready", flush=True)
while True:
    ends = Path(stop).exists()
    # Each handle of earlier nights must go on saying what it said; a new one says what is published.
    for handle in handles:
        seen.add(tuple(map(tuple, handle.execute(query).fetchall())))
    number += 1
    if number % 3 == 0 or ends:
        for handle in handles:
            handle.close()
        handles = [connect()]
    if ends:
        seen.add(tuple(map(tuple, handles[0].execute(query).fetchall())))
        break
print(json.dumps([number, sorted(seen)]))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path, memory_limit="500MB", threads=1)
    build(settings, 1)
    publish_night(settings, 1)
    return settings


def state(published: Path) -> tuple[int, int, int]:
    """The nights that the marts, their records and the Parquet are of; one each, or it fails."""
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as reader:
        marts = {
            reader.execute(f"select min(night), max(night), count(*) from marts.marts.{table}").fetchall()[0]
            for table in TABLES
        }
        (record,) = reader.execute(
            "select split_part(max_by(run_id, publication_number), ' ', 2)::int from marts.ops.publications"
        ).fetchall()[0]
        parquet = {
            reader.execute(f"select min(night), max(night), count(*) from '{published}/parquet/{table}/*.parquet'")
            .fetchall()[0]
            for table in TABLES
        }  # fmt: skip
    ((night, same, rows),) = marts
    ((exported, same_exported, exported_rows),) = parquet
    assert (night, rows) == (same, ROWS)
    assert (exported, exported_rows) == (same_exported, ROWS)
    return night, record, exported


def test_readers_at_work_see_one_publication_each_time(settings: Settings, tmp_path: Path) -> None:
    marts, stop = settings.published / "marts.duckdb", tmp_path / "stop"
    command = [sys.executable, "-c", READER, str(marts), ",".join(TABLES), str(stop)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(READERS)
    ]
    for reader in readers:
        assert reader.stdout
        assert reader.stdout.readline() == "ready\n"
    lawful = {}
    for night in range(1, NIGHTS + 1):
        build(settings, night)
        publish_night(settings, night)
        (noise,) = duckdb.execute(
            f"select sum(hash(range, hash(range + {night})))::varchar from range({ROWS})"
        ).fetchall()[0]
        lawful[night] = [[table, night, night, ROWS, noise] for table in TABLES] + [["ops", night, night, 0, ""]]
    stop.touch()
    seen_nights = set()
    for reader in readers:
        out, error = reader.communicate(timeout=120)
        assert reader.returncode == 0, error
        queries, answers = json.loads(out)
        assert queries > 1
        for answer in answers:
            night = answer[0][1]
            assert sorted(answer) == sorted(lawful[night])
            seen_nights.add(night)
        assert max(answer[0][1] for answer in answers) == NIGHTS
    assert len(seen_nights) > NIGHTS // 4


def killed(settings: Settings, night: int, call: int) -> bool:
    command = [sys.executable, "-m", "tests.orchestration.publishing", str(settings.root), str(night), str(call)]
    environment = {**os.environ, "AVILA_MEMORY_LIMIT": "500MB", "AVILA_THREADS": "1"}
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def check_healed(settings: Settings, night: int) -> None:
    """The next publication is whole, and leaves nothing of the killed one behind."""
    build(settings, night)
    publish_night(settings, night)
    assert state(settings.published) == (night, night, night)
    assert (settings.published / "report.html").read_text() == f"night {night}"
    left = sorted(path.name for path in settings.published.iterdir())
    assert left == [".parquet", "marts.duckdb", "parquet", "pictures", "report.html"]
    assert len(list((settings.published / ".parquet").iterdir())) <= 2
    with connect(settings) as connection:
        twice = "select run_id from ops.publications group by run_id having count(*) > 1"
        assert connection.execute(twice).fetchall() == []


@pytest.mark.parametrize("call", [1, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22])
def test_a_publication_killed_at_a_step(settings: Settings, call: int) -> None:
    died = killed(settings, 2, call)
    night, record, exported = state(settings.published)
    assert night == record
    assert {night, exported} <= {1, 2}
    assert died or (night, exported) == (2, 2)
    check_healed(settings, 3)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes where one may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_leaves_the_last_night(settings: Settings, small_disk: Path) -> None:
    shutil.copytree(settings.published, small_disk / "published", symlinks=True)
    shutil.rmtree(settings.published)
    settings.published.symlink_to(small_disk / "published")
    for left in (0, 100_000, 400_000, 900_000):
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(b"\0" * max(free - left, 0))
        build(settings, 2)
        with pytest.raises(PublicationFailed, match=r"cannot be written.*What was published before is untouched"):
            publish_night(settings, 2)
        assert state(settings.published) == (1, 1, 1)
        assert (settings.published / "report.html").read_text() == "night 1"
        filler.unlink()
    check_healed(settings, 3)


def test_files_that_may_not_grow_leave_the_last_night(settings: Settings) -> None:
    """As with a quota: writes fail once a file has a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    build(settings, 2)
    with connect(settings) as connection:
        connection.execute("checkpoint")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises((PublicationFailed, duckdb.Error)):
            publish_night(settings, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert state(settings.published) == (1, 1, 1)
    check_healed(settings, 3)


def test_a_directory_that_cannot_be_written_is_named(settings: Settings, small_disk: Path) -> None:
    shutil.copytree(settings.published, small_disk / "published", symlinks=True)
    shutil.rmtree(settings.published)
    settings.published.symlink_to(small_disk / "published")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    build(settings, 2)
    with pytest.raises(PublicationFailed, match=r"cannot be written.*make it writable"):
        publish_night(settings, 2)
    assert state(settings.published) == (1, 1, 1)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    check_healed(settings, 3)


def test_a_clock_set_back_changes_nothing_but_the_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class YesterYear(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "YesterYear":  # type: ignore[override]
            then = datetime.now(UTC) - timedelta(days=365)
            return cls.fromtimestamp(then.timestamp(), UTC)

    monkeypatch.setattr(publishing, "datetime", YesterYear)
    build(settings, 2)
    publish_night(settings, 2)
    assert state(settings.published) == (2, 2, 2)
    with connect(settings) as connection:
        numbers = "select run_id, publication_number from ops.publications order by publication_number"
        assert connection.execute(numbers).fetchall() == [("night 1", 1), ("night 2", 2)]
    monkeypatch.undo()
    check_healed(settings, 3)
