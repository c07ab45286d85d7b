"""Publication: all or nothing, and readers keep what they hold."""

import os
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.gates import Gate, PublicationBlocked
from orchestration.nights.runs import finish_run, start_run, status_of
from orchestration.publish import publish, sweep
from orchestration.settings import Settings
from orchestration.warehouse import connect

PASSED = Gate(asset="marts/sessions", name="unique", passed=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with connect(settings) as connection:
        connection.execute(
            """
            create table ops.loads as select 'a' as load_id, 1 as load_seq, 'live' as status,
                timestamp '2025-01-01' as first_event_ts, timestamp '2025-01-02' as last_event_ts
            """
        )
        connection.execute("create table marts.sessions as select 1 as night")
        connection.execute("comment on table marts.sessions is 'It''s one row a session.'")
        connection.execute("create view marts.events as select 'e' as event_id")
    return settings


def published(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(settings.published / "marts.duckdb"), read_only=True) as reader:
        reader.execute("use marts.marts")
        return reader.execute(sql).fetchall()


def test_tables_views_records_and_comments_are_published(settings: Settings) -> None:
    with connect(settings) as connection:
        publication = publish(connection, settings, run_id="run", gates=[PASSED])
    assert published(settings, "select * from sessions") == [(1,)]
    assert published(settings, "select * from events") == [("e",)]
    assert published(settings, "select comment from duckdb_tables() where table_name = 'sessions'") == [
        ("It's one row a session.",)
    ]
    assert published(settings, "select publication_id, run_id, loads, checks_passed from ops.publications") == [
        (publication.publication_id, "run", ["a"], ["marts/sessions: unique"])
    ]
    parquet = settings.published / "parquet" / "sessions" / "sessions.parquet"
    assert duckdb.execute(f"select * from '{parquet}'").fetchall() == [(1,)]


def test_an_open_reader_keeps_its_night(settings: Settings) -> None:
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
    old = os.open(settings.published / "marts.duckdb", os.O_RDONLY)
    before = os.fstat(old)
    with connect(settings) as connection:
        connection.execute("update marts.sessions set night = 2")
        publish(connection, settings, run_id="second", gates=[PASSED])
    assert os.fstat(old).st_size == before.st_size
    assert os.fstat(old).st_mtime_ns == before.st_mtime_ns
    os.close(old)
    assert published(settings, "select * from sessions") == [(2,)]


def test_a_program_that_attaches_the_file_anew_sees_the_new_night(settings: Settings) -> None:
    attach = f"attach '{settings.published / 'marts.duckdb'}' as avila (read_only)"
    with connect(settings) as connection, duckdb.connect() as program:
        for night in (1, 2):
            connection.execute(f"update marts.sessions set night = {night}")
            publish(connection, settings, run_id=str(night), gates=[PASSED])
            if night > 1:
                assert program.execute("from avila.marts.sessions").fetchall() == [(1,)]
                program.execute("detach avila")
            program.execute(attach)
            assert program.execute("from avila.marts.sessions").fetchall() == [(night,)]


@pytest.mark.parametrize("last_words", ["marts", "ops"])
def test_a_failed_publication_leaves_the_last_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, last_words: str
) -> None:
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
    with connect(settings) as connection:
        connection.execute("update marts.sessions set night = 2")
        connection.execute(f"create view {last_words}.zzz as select error('disk full') as broken")
        with pytest.raises(duckdb.Error, match="disk full"):
            publish(connection, settings, run_id="second", gates=[PASSED])
        assert connection.execute("select run_id from ops.publications").fetchall() == [("first",)]
    assert published(settings, "select * from sessions") == [(1,)]
    assert sorted(path.name for path in settings.published.iterdir()) == [
        *(".parquet", "marts.duckdb", "parquet", "pictures")
    ]
    assert len(list((settings.published / ".parquet").iterdir())) == 1


def test_what_a_killed_run_left_is_swept(settings: Settings) -> None:
    settings.published.mkdir()
    (settings.published / ".marts-killed.duckdb").write_text("half a file")
    with connect(settings) as connection:
        publish(connection, settings, run_id="run", gates=[PASSED])
    assert not (settings.published / ".marts-killed.duckdb").exists()


@pytest.mark.parametrize("at", ["orchestration.publish._copy", "orchestration.publish.sync", "pathlib.Path.replace"])
def test_what_a_killed_run_never_published_is_not_on_record(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        connection.execute("update marts.sessions set night = 2")

    def die(*arguments: object, **options: object) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        with monkeypatch.context() as patched, connect(settings) as connection:
            start_run(connection, run_id="killed", started_at=datetime(2025, 1, 2))
            finish_run(connection, run_id="killed", finished_at=datetime(2025, 1, 2), status="published")
            patched.setattr(at, die)
            publish(connection, settings, run_id="killed", gates=[PASSED])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with connect(settings) as connection:
        sweep(connection, settings)
        start_run(connection, run_id="next", started_at=datetime(2025, 1, 3))
        publish(connection, settings, run_id="next", gates=[PASSED])
        assert status_of(connection, "killed") == "failed"
    query = "select run_id, publication_number from ops.publications order by publication_number"
    assert published(settings, query) == [("first", 1), ("next", 2)]


def test_a_failed_gate_blocks_and_says_so(settings: Settings) -> None:
    failed = Gate(asset="lake/web", name="something_is_loaded", passed=False, reason="Nothing of this source")
    with connect(settings) as connection, pytest.raises(PublicationBlocked, match=r"lake/web.*Nothing of this source"):
        publish(connection, settings, run_id="run", gates=[PASSED, failed])
    assert not settings.published.exists()


def test_a_warning_and_an_unreadable_dump_do_not_block(settings: Settings) -> None:
    warned = Gate(asset="lake/web", name="volume", passed=False, is_warning=True)
    unreadable = Gate(asset="lake/web", name="every_file_could_be_read", passed=False, is_warning=True)
    with connect(settings) as connection:
        publish(connection, settings, run_id="run", gates=[warned, unreadable])
    assert published(settings, "select checks_failed from ops.publications") == [
        (["lake/web: volume", "lake/web: every_file_could_be_read"],)
    ]


def test_marts_as_they_are_published_are_not_written_again(settings: Settings) -> None:
    parquet = settings.published / "parquet"
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        written = {path: path.stat().st_mtime_ns for path in parquet.rglob("*.parquet")}
        again = publish(connection, settings, run_id="again", gates=[PASSED])
        assert {path: path.stat().st_mtime_ns for path in parquet.rglob("*.parquet")} == written
        (parquet / "events" / "events.parquet").unlink()
        (parquet / "events").rmdir()
        again = publish(connection, settings, run_id="second", gates=[PASSED])
    assert again.tables["marts.sessions"] == 1
    assert published(settings, "select run_id from ops.publications order by published_at") == [
        *(("first",), ("again",), ("second",))
    ]
    assert published(settings, "select * from sessions") == [(1,)]
    sessions = parquet / "sessions" / "sessions.parquet"
    assert sessions.exists()
    assert (parquet / "events" / "events.parquet").exists()


def test_a_reject_that_is_forgotten_leaves_no_trace_in_the_file(settings: Settings) -> None:
    path = settings.published / "marts.duckdb"
    with connect(settings) as connection:
        connection.execute("create table ops.rejects as select 'ana@shop.example' as raw_text")
        publish(connection, settings, run_id="first", gates=[PASSED])
        assert b"ana@shop.example" in path.read_bytes()
        connection.execute("delete from ops.rejects")
        publish(connection, settings, run_id="second", gates=[PASSED])
    assert published(settings, "from ops.rejects") == []
    assert b"ana@shop.example" not in path.read_bytes()


def test_an_older_duckdb_opens_it(settings: Settings) -> None:
    path, newer = settings.published / "marts.duckdb", settings.root / "newer.duckdb"
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        assert storage_version(path) == "v1.4.0+"
        connection.execute(f"attach '{path}' as old (read_only)")
        connection.execute(f"attach '{newer}' as new (storage_version 'v1.5.0')")
        connection.execute("copy from database old to new")
        connection.execute("detach old")
        connection.execute("detach new")
        newer.replace(path)
        publish(connection, settings, run_id="second", gates=[PASSED])
    assert storage_version(path) == "v1.4.0+"
    assert published(settings, "select run_id from ops.publications order by all") == [("first",), ("second",)]


def storage_version(path: Path) -> str:
    query = "select tags['storage_version'] from duckdb_databases() where database_name = 'marts'"
    with duckdb.connect(str(path), read_only=True) as reader:
        return str(reader.execute(query).fetchall()[0][0])


def test_the_export_before_goes_with_the_next_night_whatever_that_brings(settings: Settings) -> None:
    exports = settings.published / ".parquet"
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        connection.execute("update marts.sessions set night = 2")
        publish(connection, settings, run_id="changed", gates=[PASSED])
        assert len(list(exports.iterdir())) == 2
        publish(connection, settings, run_id="unchanged", gates=[PASSED])
    assert list(exports.iterdir()) == [(settings.published / "parquet").resolve()]


@pytest.mark.parametrize(
    "change",
    [
        "update marts.sessions set night = 2",
        "insert into marts.sessions select * from marts.sessions",
        "alter table marts.sessions add column visits integer",
        "comment on table marts.sessions is 'Another comment.'",
        "create table marts.users as select 'u' as user_key",
        "drop view marts.events",
    ],
)
def test_any_change_of_a_mart_is_published(settings: Settings, change: str) -> None:
    described = (
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() and schema_name = 'marts' order by all"
    )
    comments = "select table_name, comment from duckdb_tables() where schema_name = 'marts' order by all"
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        before = published(settings, described), published(settings, comments), published(settings, "from sessions")
        connection.execute(change)
        publish(connection, settings, run_id="second", gates=[PASSED])
        rows = connection.execute("from marts.sessions").fetchall()
    after = published(settings, described), published(settings, comments), published(settings, "from sessions")
    assert after != before
    assert after[2] == rows


def test_a_file_that_is_no_publication_and_parquet_of_another_night_are_replaced(settings: Settings) -> None:
    sessions = settings.published / "parquet" / "sessions" / "sessions.parquet"
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED])
        (settings.published / "marts.duckdb").write_bytes(b"no database")
        publish(connection, settings, run_id="second", gates=[PASSED])
        assert published(settings, "select * from sessions") == [(1,)]
        connection.execute("update marts.sessions set night = 2")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestration.parquet.ParquetExport.swap", _killed)
            with pytest.raises(KeyboardInterrupt):
                publish(connection, settings, run_id="killed", gates=[PASSED])
        assert published(settings, "select * from sessions") == [(2,)]
        publish(connection, settings, run_id="third", gates=[PASSED])
        assert connection.execute(f"from '{sessions}'").fetchall() == [(2,)]


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_pages_are_written_with_the_marts_and_stale_pictures_go(settings: Settings) -> None:
    nights = iter([{"report.html": "one", "pictures/a.svg": "a", "pictures/b.svg": "b"}, {"report.html": "two é"}])
    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED], pages=lambda *_: next(nights))
        assert (settings.published / "pictures" / "b.svg").read_text() == "b"
        # The marts have not changed; the report tells when they were last found to be so.
        publish(connection, settings, run_id="second", gates=[PASSED], pages=lambda *_: next(nights))
    assert (settings.published / "report.html").read_text(encoding="utf-8") == "two é"
    assert list((settings.published / "pictures").iterdir()) == []
    assert not list(settings.published.rglob(".*new*"))


def test_pages_that_cannot_be_made_leave_everything_as_it_was(settings: Settings) -> None:
    def broken(*_: object) -> dict[str, str]:
        raise ValueError("no picture")

    with connect(settings) as connection:
        publish(connection, settings, run_id="first", gates=[PASSED], pages=lambda *_: {"report.html": "one"})
        connection.execute("update marts.sessions set night = 2")
        with pytest.raises(ValueError, match="no picture"):
            publish(connection, settings, run_id="second", gates=[PASSED], pages=broken)
        failed = Gate(asset="lake/web", name="something_is_loaded", passed=False)
        with pytest.raises(PublicationBlocked):
            publish(connection, settings, run_id="third", gates=[failed], pages=lambda *_: {"report.html": "three"})
        assert connection.execute("select run_id from ops.publications").fetchall() == [("first",)]
    assert published(settings, "select * from sessions") == [(1,)]
    assert (settings.published / "report.html").read_text() == "one"
