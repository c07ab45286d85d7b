"""Publication: an audited warehouse becomes the file people query, in one atomic swap."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.gates import Gate, require_passed
from orchestration.ledger import content
from orchestration.settings import Settings

PUBLISHED_SCHEMAS = ("marts", "ops")
PICTURES = "pictures"
"""The folder that holds pictures and nothing else."""

Pages = Callable[[duckdb.DuckDBPyConnection, datetime], Mapping[str, str]]
"""What people read beside the marts, by path below ``published/``, of a warehouse and the time of publication, UTC."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One published night."""

    publication_id: str
    path: Path
    tables: dict[str, int]
    size_bytes: int


def publish(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    run_id: str,
    gates: Sequence[Gate],
    pages: Pages = lambda connection, now: {},
) -> Publication:
    """Copy the marts and the warehouse's own records into a new file and swap it in.

    A reader that has the old file open keeps its consistent view; a new one sees the new night. The same tables
    are written as Parquet, table by table, under ``published/parquet/<table>/``. Where the marts are still those that
    are published, only the records are written anew, into a copy of the file.

    Args:
        connection: The open warehouse; a row is added to its ``ops.publications``.
        settings: Where to publish.
        run_id: The run that publishes.
        gates: Every check of the night, as it last ran.
        pages: Makes what is published beside the marts. It is made before they are swapped in, and written right
            after; pictures that it no longer gives are removed.

    Raises:
        PublicationBlocked: A gate that must pass did not; nothing was touched.
    """
    require_passed(gates)
    settings.published.mkdir(parents=True, exist_ok=True)
    for left_by_a_killed_run in settings.published.glob(".marts-*"):
        left_by_a_killed_run.unlink()
    now = datetime.now(UTC).replace(tzinfo=None)
    texts = pages(connection, now)
    publication_id = hashlib.md5(f"{run_id} {now.isoformat()}".encode(), usedforsecurity=False).hexdigest()
    connection.execute(
        """
        insert into ops.publications
        select
            ?, ?, ?, list(load_id order by load_seq), min(first_event_ts), max(last_event_ts), ?, ?
        from ops.loads where status = 'live'
        """,
        [
            publication_id,
            now,
            run_id,
            [f"{gate.asset}: {gate.name}" for gate in gates if gate.passed],
            [f"{gate.asset}: {gate.name}" for gate in gates if not gate.passed],
        ],
    )
    old, new = settings.published / "marts.duckdb", settings.published / f".marts-{publication_id}.duckdb"
    parquet = settings.published / "parquet"
    exported, unchanged = parquet / ".complete", False
    with contextlib.suppress(duckdb.Error):
        unchanged = old.exists() and _holds_marts(connection, old)
    try:
        if unchanged:
            shutil.copyfile(old, new)
        else:
            # Until they have been written again, the Parquet files are those of another night.
            exported.unlink(missing_ok=True)
        tables = _copy(connection, new, schemas=["ops"] if unchanged else PUBLISHED_SCHEMAS)
        _sync(new)
        new.replace(old)
    except BaseException:
        connection.execute("delete from ops.publications where publication_id = ?", [publication_id])
        new.unlink(missing_ok=True)
        raise
    finally:
        Path(f"{new}.wal").unlink(missing_ok=True)
    _sync(settings.published)
    _write(settings.published, texts)
    with _attached(connection, old, "read_only"):
        _export_parquet(connection, parquet, publication_id, only_missing=unchanged and exported.exists())
    exported.touch()
    return Publication(publication_id=publication_id, path=old, tables=tables, size_bytes=old.stat().st_size)


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """(schema, table, comment) of all that is published."""
    return connection.execute(
        """
        select schema_name, table_name, comment from duckdb_tables()
        where database_name = current_database() and schema_name in ('marts', 'ops')
        union all
        select schema_name, view_name, comment from duckdb_views()
        where database_name = current_database() and schema_name in ('marts', 'ops') and not internal
        order by all
        """
    ).fetchall()


def _holds_marts(connection: duckdb.DuckDBPyConnection, published: Path) -> bool:
    """Whether a published file holds the marts as they are: tables, columns, comments and rows.

    Raises:
        duckdb.Error: It cannot be read.
    """
    described = """
        select table_name, column_name, data_type, comment from duckdb_columns()
        where database_name = {} and schema_name = 'marts' order by all
    """
    sizes = """
        select table_name, comment from duckdb_tables()
        where database_name = 'published' and schema_name = 'marts' order by estimated_size
    """
    with _attached(connection, published, "read_only"):
        tables = connection.execute(sizes).fetchall()
        comments = {table: comment for schema, table, comment in _tables(connection) if schema == "marts"}
        columns = [
            connection.execute(described.format(database)).fetchall()
            for database in ("current_database()", "'published'")
        ]
        # From the smallest table on: after a night with news the first few tell.
        return (
            columns[0] == columns[1]
            and comments == dict(tables)
            and all(
                content(connection, f'marts."{table}"') == content(connection, f'published.marts."{table}"')
                for table, _ in tables
            )
        )


def _copy(connection: duckdb.DuckDBPyConnection, target: Path, *, schemas: Sequence[str]) -> dict[str, int]:
    """Copy the tables of some schemas, in place of what is there; returns the rows of all tables in the file."""
    rows: dict[str, int] = {}
    with _attached(connection, target):
        for schema in schemas:
            connection.execute(f"drop schema if exists published.{schema} cascade")
            connection.execute(f"create schema published.{schema}")
        for schema, table, comment in _tables(connection):
            name = f'published.{schema}."{table}"'
            if schema in schemas:
                connection.execute(f'create table {name} as select * from {schema}."{table}"')
                if comment:
                    connection.execute(f"comment on table {name} is {_quoted(comment)}")
                for column, said in _column_comments(connection, schema, table):
                    connection.execute(f'comment on column {name}."{column}" is {_quoted(said)}')
            (count,) = connection.execute(f"select count(*) from {name}").fetchall()[0]
            rows[f"{schema}.{table}"] = count
        connection.execute("checkpoint published")
    return rows


def _column_comments(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[tuple[str, str]]:
    return connection.execute(
        """
        select column_name, comment from duckdb_columns()
        where database_name = current_database() and schema_name = ? and table_name = ? and comment is not null
        """,
        [schema, table],
    ).fetchall()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextlib.contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, path: Path, mode: str = "read_write") -> Iterator[None]:
    connection.execute(f"attach '{path}' as published ({mode})")
    try:
        yield
    finally:
        connection.execute("detach published")


def _export_parquet(
    connection: duckdb.DuckDBPyConnection, root: Path, publication_id: str, *, only_missing: bool
) -> None:
    """Write each published mart beside its last export and swap the folder."""
    root.mkdir(parents=True, exist_ok=True)
    for schema, table, _ in _tables(connection):
        folder, new, old = root / table, root / f".{table}-{publication_id}", root / f".{table}-old"
        if schema != "marts" or (only_missing and folder.exists()):
            continue
        shutil.rmtree(old, ignore_errors=True)
        new.mkdir()
        connection.execute(
            f"copy published.marts.\"{table}\" to '{new / (table + '.parquet')}' (format parquet, compression zstd)"
        )
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
        shutil.rmtree(old, ignore_errors=True)


def _write(root: Path, texts: Mapping[str, str]) -> None:
    """Write each file whole or not at all, and remove pictures of another night."""
    pictures = root / PICTURES
    pictures.mkdir(exist_ok=True)
    for name, text in texts.items():
        path = root / name
        new = path.with_name(f".new-{path.name}")
        new.write_text(text, encoding="utf-8")
        _sync(new)
        new.replace(path)
    for path in pictures.iterdir():
        if f"{PICTURES}/{path.name}" not in texts:
            path.unlink()
    _sync(pictures)
    _sync(root)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
