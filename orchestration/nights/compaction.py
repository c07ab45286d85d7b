"""The warehouse file without what is free in it, or was deleted.

DuckDB writes into free blocks before it makes a file longer, but gives back only those at the end, and rows that were
deleted leave holes in the blocks in use. A night writes tables anew before the old rows go, so a small warehouse is
soon twice as large as what it holds. When it has grown too much, it is copied into a new file, which takes its place by
a rename.

How large such a copy would be is not known without making it. But a history hardly shrinks, so it is no smaller than
the last copy was: going by that, the file is copied too often at worst, and the more seldom the larger it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.disk import sync
from orchestration.settings import Settings
from orchestration.sql import attached
from orchestration.warehouse import STORAGE_VERSION, threads_for

GROWN = 1.4
"""The file is copied when it is so many times as large as the last copy was."""
MOSTLY_USED = 1.1
"""A file whose size is at most so many times that of the blocks in use counts as a copy where there was none: it has
just been built."""


class CopyDiffers(Exception):  # noqa: N818 - reads as what happened
    """The copy has not the rows that the warehouse has; the warehouse was left as it is."""


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """A warehouse file that has become smaller.

    Attributes:
        before: Bytes.
        after: Bytes.
    """

    before: int
    after: int

    def __str__(self) -> str:
        return f"the warehouse file was copied without its free blocks: {_mb(self.before)} MB, now {_mb(self.after)} MB"


def compact(settings: Settings) -> Compaction | None:
    """Copy the warehouse file where too much of it is free; the caller holds the night's lock.

    Returns:
        What came of it; None where it was not wanted, or there is no warehouse.

    Raises:
        duckdb.Error: It cannot be read, or the copy cannot be written, such as on a full disk.
        CopyDiffers: The copy is not what it is a copy of.
        OSError: The copy cannot be put in its place.
    """
    warehouse = settings.warehouse
    draft = warehouse.with_name(".compact.duckdb")
    for left_by_a_killed_run in (draft, Path(f"{draft}.wal")):
        left_by_a_killed_run.unlink(missing_ok=True)
    if not warehouse.exists() or not _is_wanted(settings):
        return None
    before = warehouse.stat().st_size
    try:
        config: dict[str, Any] = {"memory_limit": settings.memory_limit, "threads": threads_for(settings)}
        with duckdb.connect(config=config) as connection:
            new = attached(connection, draft, "new", mode="read_write", version=STORAGE_VERSION)
            with attached(connection, warehouse, "old"), new:
                connection.execute("copy from database old to new")
                connection.execute("checkpoint new")
                if _rows(connection, "old") != _rows(connection, "new"):
                    raise CopyDiffers(f"The copy of {warehouse} has not its rows; it was left as it is.")
        sync(draft)
        draft.replace(warehouse)
        sync(warehouse.parent)
        _note_copy(settings)
    finally:
        draft.unlink(missing_ok=True)
        Path(f"{draft}.wal").unlink(missing_ok=True)
    return Compaction(before=before, after=warehouse.stat().st_size)


def _is_wanted(settings: Settings) -> bool:
    with duckdb.connect(str(settings.warehouse)) as connection:
        # What is in the journal would be lost with the file that it belongs to.
        connection.execute("checkpoint")
        query = "select block_size, used_blocks from pragma_database_size()"
        block_size, used_blocks = connection.execute(query).fetchall()[0]
    size, used = settings.warehouse.stat().st_size, block_size * used_blocks
    try:
        last_copy = int(_last_copy(settings).read_text())
    except (OSError, ValueError):
        if size <= MOSTLY_USED * used:
            _note_copy(settings)
            return False
        return True
    # A history that has shrunk shows by its free blocks.
    return bool(size > GROWN * min(last_copy, used))


def _note_copy(settings: Settings) -> None:
    _last_copy(settings).write_text(str(settings.warehouse.stat().st_size))


def _last_copy(settings: Settings) -> Path:
    """The file that holds the size of the last copy, in bytes."""
    return settings.warehouse.parent / ".compacted"


def _rows(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, int]:
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? and not temporary", [database]
    ).fetchall()
    return {
        f"{schema}.{table}": connection.execute(f'select count(*) from {database}.{schema}."{table}"').fetchall()[0][0]
        for schema, table in tables
    }


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
