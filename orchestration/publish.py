"""Publication: an audited warehouse becomes the file people query, in one atomic swap."""

import contextlib
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from orchestration.disk import sync
from orchestration.gates import Gate, require_passed
from orchestration.ledger import content
from orchestration.parquet import ParquetExport
from orchestration.settings import Settings
from orchestration.sql import attached, literal

PUBLISHED_SCHEMAS = ("marts", "ops")
PICTURES = "pictures"
"""The folder that holds pictures and nothing else."""
_DRAFT = ".marts-"
"""How the name of a file begins that is to become the published one; its publication's id follows."""
_STORAGE_VERSION = "v1.4.0"
"""Else it would be the warehouse's own, in which no client before DuckDB 1.5 reads."""

Pages = Callable[[duckdb.DuckDBPyConnection, datetime], Mapping[str, str]]
"""What people read beside the marts, by path below ``published/``, of a warehouse and the time of publication, UTC."""


class PublicationFailed(Exception):  # noqa: N818 - reads as what happened
    """What was audited could not be written; the last published file stays as it is."""


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
    are written as Parquet, and swapped as a whole under ``published/parquet/<table>/``. Where the marts and the
    rejects are still those that are published, only the records are written anew, into a copy of the file. All that
    takes space is written before anything is swapped, so a disk that is full leaves the last night whole.

    Args:
        connection: The open warehouse; a row is added to its ``ops.publications``.
        settings: Where to publish.
        run_id: The run that publishes.
        gates: Every check of the night, as it last ran.
        pages: Makes what is published beside the marts. It is made before they are swapped in, and written right
            after; pictures that it no longer gives are removed.

    Raises:
        PublicationBlocked: A gate that must pass did not; nothing was touched.
        PublicationFailed: It cannot be written where it belongs; what was published before is whole.
    """
    require_passed(gates)
    try:
        return _publish(connection, settings, run_id=run_id, gates=gates, pages=pages)
    except OSError as error:
        raise PublicationFailed(_unwritable(settings, error)) from error
    except duckdb.IOException as error:
        if not any(str(place) in str(error) for place in (settings.published, settings.published.resolve())):
            raise
        raise PublicationFailed(_unwritable(settings, error)) from error


def sweep(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Remove what a run that was killed while it published left: its draft, and the record of what it never published.

    Args:
        connection: The open warehouse.
        settings: Where is published.
    """
    for draft in settings.published.glob(f"{_DRAFT}*.duckdb"):
        publication_id = draft.stem.removeprefix(_DRAFT)
        connection.execute("delete from ops.publications where publication_id = ?", [publication_id])
        draft.unlink()
    for journal in settings.published.glob(f"{_DRAFT}*"):
        journal.unlink()


def _unwritable(settings: Settings, error: Exception) -> str:
    return (
        f"{settings.published} cannot be written: {error}. What was published before is untouched. Free some space "
        "there or make it writable; the next night publishes."
    )


def _publish(
    connection: duckdb.DuckDBPyConnection, settings: Settings, *, run_id: str, gates: Sequence[Gate], pages: Pages
) -> Publication:
    settings.published.mkdir(parents=True, exist_ok=True)
    sweep(connection, settings)
    now = datetime.now(UTC).replace(tzinfo=None)
    texts = pages(connection, now)
    publication_id = hashlib.md5(f"{run_id} {now.isoformat()}".encode(), usedforsecurity=False).hexdigest()
    old, new = settings.published / "marts.duckdb", settings.published / f"{_DRAFT}{publication_id}.duckdb"
    export, unchanged = ParquetExport(settings.published), False
    with contextlib.suppress(duckdb.Error):
        unchanged = old.exists() and _holds_marts(connection, old)
    is_swapped = False
    try:
        # The draft before its record: for as long as it lies there, the record is of no publication.
        with _attached(connection, new):
            pass
        _record(connection, publication_id, now, run_id, gates)
        export.sweep()
        if unchanged:
            shutil.copyfile(old, new)
        tables = _copy(connection, new, schemas=["ops"] if unchanged else PUBLISHED_SCHEMAS)
        sync(new)
        marts = [table for schema, table, _ in _tables(connection) if schema == "marts"]
        draft = None
        if not (unchanged and export.holds(marts)):
            with _attached(connection, new, "read_only"):
                draft = export.write(connection, publication_id, marts)
        pages_written = _draft(settings.published, texts)
        if draft is not None:
            # Until they are swapped, the Parquet files are those of another night.
            export.outdate()
        new.replace(old)
        is_swapped = True
    except BaseException:
        if not is_swapped:
            # The record first: a full disk may refuse even that, and then the next night takes it for one of its own.
            connection.execute("delete from ops.publications where publication_id = ?", [publication_id])
            new.unlink(missing_ok=True)
        raise
    finally:
        Path(f"{new}.wal").unlink(missing_ok=True)
    sync(settings.published)
    if draft is not None:
        export.swap(draft)
    else:
        # Whoever read the export before has had a night; what has been forgotten since is not to stay in it.
        export.sweep(kept=1)
    _place(settings.published, pages_written, texts)
    return Publication(publication_id=publication_id, path=old, tables=tables, size_bytes=old.stat().st_size)


def _record(
    connection: duckdb.DuckDBPyConnection, publication_id: str, now: datetime, run_id: str, gates: Sequence[Gate]
) -> None:
    """Add the publication to ``ops.publications``; its number orders them, whatever the clock says."""
    connection.execute(
        """
        insert into ops.publications
        select
            ?, ?, ?, list(load_id order by load_seq), min(first_event_ts), max(last_event_ts), ?, ?,
            (select coalesce(max(publication_number), count(*)) + 1 from ops.publications)
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
    """Whether a published file holds the marts as they are: tables, columns, comments and rows; and the rejects.

    A copy keeps the blocks of tables that it drops, and rejects quote rows: what somebody had removed is not to stay.

    Raises:
        duckdb.Error: It cannot be read.
    """
    described = """
        select table_name, column_name, data_type, comment from duckdb_columns()
        where database_name = {} and schema_name = 'marts' order by all
    """
    sizes = """
        select schema_name, table_name, comment from duckdb_tables()
        where database_name = 'published' and (schema_name = 'marts' or (schema_name, table_name) = ('ops', 'rejects'))
        order by estimated_size
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
            and comments == {table: comment for schema, table, comment in tables if schema == "marts"}
            and all(
                content(connection, f'{schema}."{table}"') == content(connection, f'published.{schema}."{table}"')
                for schema, table, _ in tables
            )
        )


def _copy(connection: duckdb.DuckDBPyConnection, target: Path, *, schemas: Sequence[str]) -> dict[str, int]:
    """Copy the tables of some schemas, in place of what is there; returns the rows of all tables in the file."""
    rows: dict[str, int] = {}
    comments = _column_comments(connection, schemas)
    with _attached(connection, target):
        with _transaction(connection):
            for schema in schemas:
                connection.execute(f"drop schema if exists published.{schema} cascade")
                connection.execute(f"create schema published.{schema}")
            for schema, table, comment in _tables(connection):
                name = f'published.{schema}."{table}"'
                if schema in schemas:
                    connection.execute(f'create table {name} as select * from {schema}."{table}"')
                    if comment:
                        connection.execute(f"comment on table {name} is {literal(comment)}")
                    for column, said in comments.get((schema, table), []):
                        connection.execute(f'comment on column {name}."{column}" is {literal(said)}')
                (count,) = connection.execute(f"select count(*) from {name}").fetchall()[0]
                rows[f"{schema}.{table}"] = count
        connection.execute("checkpoint published")
    return rows


def _column_comments(
    connection: duckdb.DuckDBPyConnection, schemas: Sequence[str]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(column, comment) of each that has one, by schema and table; asked at once, for each time costs all columns."""
    comments: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for schema, table, column, said in connection.execute(
        """
        select schema_name, table_name, column_name, comment from duckdb_columns()
        where database_name = current_database() and schema_name in (select unnest(?)) and comment is not null
        """,
        [list(schemas)],
    ).fetchall():
        comments[schema, table].append((column, said))
    return comments


@contextlib.contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One for many statements: each costs as much again to be written down for itself."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _attached(
    connection: duckdb.DuckDBPyConnection, path: Path, mode: str = "read_write"
) -> contextlib.AbstractContextManager[None]:
    # A file of a newer version is refused, as one that cannot be read.
    return attached(connection, path, "published", mode=mode, version=_STORAGE_VERSION)


def _draft(root: Path, texts: Mapping[str, str]) -> dict[Path, Path]:
    """Write each file under a name of its own; returns what it is to become."""
    (root / PICTURES).mkdir(exist_ok=True)
    for left_by_a_killed_run in [*root.glob(".new-*"), *(root / PICTURES).glob(".new-*")]:
        left_by_a_killed_run.unlink()
    drafts = {}
    for name, text in texts.items():
        path = root / name
        draft = path.with_name(f".new-{path.name}")
        draft.write_text(text, encoding="utf-8")
        sync(draft)
        drafts[draft] = path
    return drafts


def _place(root: Path, drafts: Mapping[Path, Path], texts: Mapping[str, str]) -> None:
    """Put each draft where it belongs, and remove pictures of another night."""
    pictures = root / PICTURES
    for draft, path in drafts.items():
        draft.replace(path)
    for path in pictures.iterdir():
        if f"{PICTURES}/{path.name}" not in texts:
            path.unlink()
    sync(pictures)
    sync(root)
