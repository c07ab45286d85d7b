"""What is saved comes back as it was, whole or not at all."""

import io
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from orchestration.backup import RECORD_TABLES, RECORDS, BackupFailed, restore, save
from orchestration.nights.lock import lock_file
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import STORAGE_VERSION, connect
from tests.orchestration.publishing import build


@pytest.fixture
def house(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path / "house", threads=1)
    files = {
        "avila.yml": b"sources: {web: {path: [landing/web/*.csv, dumps/*.csv, '*.json', lake/events/*/*.parquet]}}",
        "landing/web/a b.csv": b"1",
        "landing/unread.txt": b"2",
        "dumps/c.csv": b"3",
        "manifest.json": b"a dump of this name",
        "landing/web/.writing.csv": b"not yet",
        "lake/events/source=web/x.parquet": bytes(range(256)) * 500,
        "lake/staging/half.parquet": b"half",
        "models/churn/latest": b"v1\n",
        "models/churn/v1/model.ubj": b"\x00",
        "published/marts.duckdb": b"is built again",
    }
    for name, content in files.items():
        path = settings.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for database in (settings.lake / "catalog.sqlite", settings.alerts):
        database.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("create table facts as select 1 as one")
            connection.commit()
    build(settings, 1)
    with connect(settings) as connection:
        for table in RECORD_TABLES:
            connection.execute(f"insert into {table} select * from {table}")
        connection.execute("insert into ops.runs (run_id, status, step) values ('r1', 'success', 'a')")
        connection.execute("insert into increments.work_done values ('a', 'b', 'c')")
        connection.execute("insert into ml.churn_score_history (user_key, probability) values ('u', 0.5)")
    return settings


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix not in (".duckdb", ".sqlite") and path.name != ".night.lock"
    }


def records(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return {table: connection.execute(f"from {table}").fetchall() for table in RECORD_TABLES}


def test_what_cannot_be_built_again_comes_back(house: Settings, tmp_path: Path) -> None:
    backup = save(house, tmp_path / "backups")
    restored = Settings(data_dir=tmp_path / "other")
    assert restore(restored, backup.path).files == backup.files
    gone = {"landing/web/.writing.csv", "lake/staging/half.parquet"}
    assert files(restored.root) == {name: content for name, content in files(house.root).items() if name not in gone}
    for name in files(restored.root):
        assert (restored.root / name).stat().st_mtime_ns == (house.root / name).stat().st_mtime_ns
    for database in (restored.lake / "catalog.sqlite", restored.alerts):
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("select one from facts").fetchall() == [(1,)]
    assert records(restored) == records(house)
    assert records(restored)["increments.work_done"] == [("a", "b", "c")]
    with duckdb.connect(str(restored.warehouse), read_only=True) as connection:
        marts = "select count(*) from duckdb_tables() where schema_name = 'marts'"
        assert connection.execute(marts).fetchall() == [(0,)]
    assert [path.name for path in backup.path.parent.iterdir()] == [backup.path.name]


def test_its_records_are_of_the_warehouses_version(house: Settings, tmp_path: Path) -> None:
    """Not of that which DuckDB writes by itself: what one of its versions saved, another may have to restore."""
    with tarfile.open(save(house, tmp_path / "backups").path) as tar:
        tar.extract(RECORDS, tmp_path, filter="data")
    query = "select tags['storage_version'] from duckdb_databases() where database_name = 'records'"
    with duckdb.connect(str(tmp_path / RECORDS), read_only=True) as connection:
        assert connection.execute(query).fetchall() == [(f"{STORAGE_VERSION}+",)]


def test_dumps_may_be_left_out(house: Settings, tmp_path: Path) -> None:
    backup = save(house, tmp_path, landing=False)
    with tarfile.open(backup.path) as tar:
        assert not [name for name in tar.getnames() if name.startswith(("landing", "dumps"))]


def test_dumps_that_are_not_known_are_not_left_out_in_silence(house: Settings, tmp_path: Path) -> None:
    house.declarations.write_text("sources: {web: {}}")
    with pytest.raises(BackupFailed, match="Which dumps there are is not known"):
        save(house, tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []
    assert save(house, tmp_path / "backups", landing=False).files


def test_a_directory_with_anything_in_it_is_let_be(house: Settings, tmp_path: Path) -> None:
    backup = save(house, tmp_path / "backups")
    before = files(house.root)
    with pytest.raises(BackupFailed, match=r"is not empty \(there is avila.yml\)"):
        restore(house, backup.path)
    assert files(house.root) == before


def test_a_backup_that_is_damaged_is_not_restored(house: Settings, tmp_path: Path) -> None:
    whole = save(house, tmp_path / "backups").path.read_bytes()
    damaged, other = tmp_path / "damaged.tar", Settings(data_dir=tmp_path / "other")
    rotten = bytearray(whole)
    rotten[whole.index(bytes(range(256))) + 70] ^= 1
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    cut = [whole[: len(whole) * tenth // 10] for tenth in range(10)]
    for content in [*cut, bytes(rotten), evil.getvalue(), b"no tar at all"]:
        damaged.write_bytes(content)
        with pytest.raises(BackupFailed, match=str(damaged)):
            restore(other, damaged)
        assert files(other.root) == {}
    assert not (tmp_path / "outside").exists()
    damaged.write_bytes(whole)
    restore(other, damaged)
    assert "avila.yml" in files(other.root)


def test_a_restore_that_was_killed_is_begun_again(house: Settings, tmp_path: Path) -> None:
    backup, other = save(house, tmp_path / "backups"), Settings(data_dir=tmp_path / "other")
    (other.root / ".restoring" / "lake").mkdir(parents=True)
    (other.root / ".restoring" / "lake" / "half").write_text("half")
    lock_file(other).parent.mkdir()
    lock_file(other).touch()
    restore(other, backup.path)
    assert not (other.root / ".restoring").exists()
    assert not (other.root / "lake" / "half").exists()


def test_the_commands_say_what_they_did_and_who_is_in_the_way(house: Settings, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"AVILA_DATA_DIR": str(house.root), "PATH": "", "PYTHONPATH": str(PROJECT_ROOT)}
        command = [sys.executable, "-m", "orchestration.backup", *words]
        return subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)

    said = run("save", str(tmp_path / "backups"))
    (path,) = (tmp_path / "backups").iterdir()
    assert (said.returncode, str(path) in said.stdout) == (0, True)
    refused = run("restore", str(path))
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)
    house.declarations.unlink()
    assert "nothing to save" in run("save", str(tmp_path / "backups")).stderr
