"""A warehouse file that is broken or gone: recognised, set aside, and built anew from the lake, with its records.

The lake is the truth and the warehouse follows from it, but for the records in schema ``ops`` and the scores that were
given before; those of the last publication are taken from the published file.
"""

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from orchestration.disk import set_aside
from orchestration.ingestion.faults import LOCKED
from orchestration.nights.damage import is_broken, suspicion
from orchestration.settings import Settings
from orchestration.sql import attached
from orchestration.warehouse import MODELS, OPS_RECORDS, connect

_HEADERS = 3 * 4096
_RECORDS = {
    **{f"ops.{table}": f"from last_published.ops.{table}" for table in OPS_RECORDS},
    **{
        f"ml.{model}_score_history": f"""
            select * exclude (model, outcome)
            from last_published.marts.score_history where model = '{model}'
        """
        for model in MODELS
    },
}
"""What no lake can give back, and where the published file has it."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A warehouse that had to be given up.

    Attributes:
        reason: What is wrong with it, in DuckDB's words or ours.
        set_aside: Where the file lies now; None where there was none.
        records: How many rows of its records the published file gave back.
    """

    reason: str
    set_aside: str | None
    records: int

    def __str__(self) -> str:
        aside = f"It was set aside as {self.set_aside}, and every" if self.set_aside else "Every"
        return (
            f"The warehouse file could not be read ({self.reason}). {aside} model is built anew from the lake; "
            f"{self.records:,} rows of the warehouse's own records came back from the published file."
            + (" Remove it when you no longer want to look at it." if self.set_aside else "")
        )


def fault(settings: Settings) -> str | None:
    """What is wrong with the warehouse file; None where it opens and holds the blocks in use, or there never was one.

    Raises:
        duckdb.Error: It cannot be opened for another reason, such as another process that holds it.
    """
    if suspicion(settings).exists():
        return suspicion(settings).read_text(encoding="utf-8")
    if not settings.warehouse.exists():
        # Somebody removed it, as `make verify` may have told them to: what no lake can give back is not to go with it.
        return "there is none, though marts are published" if _published(settings).exists() else None
    try:
        with duckdb.connect(str(settings.warehouse)) as connection:
            query = "select block_size, total_blocks from pragma_database_size()"
            block_size, blocks = connection.execute(query).fetchall()[0]
            length = settings.warehouse.stat().st_size
            if length < _HEADERS + block_size * blocks:
                # Free blocks at the end may have been cut off by DuckDB itself: only those in use must be there.
                blocks = _last_block_in_use(connection) + 1
            connection.execute("select count(*) from duckdb_columns()").fetchall()
        wanted = _HEADERS + block_size * blocks
        return f"it is truncated: {length:,} of {wanted:,} bytes are left" if length < wanted else None
    except duckdb.Error as error:
        if LOCKED.search(str(error)) or not (is_broken(str(error)) or isinstance(error, duckdb.SerializationException)):
            raise
        return str(error).strip().splitlines()[0]


def _last_block_in_use(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last block that a table or the catalogue is stored in, from 0 on; -1 for none."""
    tables = connection.execute("select schema_name, table_name from duckdb_tables() where not temporary").fetchall()
    last = "select coalesce(max(block_id), -1) from pragma_metadata_info()"
    numbers = [connection.execute(last).fetchall()[0][0]]
    for schema, table in tables:
        query = f"""
            select coalesce(greatest(max(block_id), max(list_max(additional_block_ids))), -1)
            from pragma_storage_info('"{schema}"."{table}"')
        """
        numbers.append(connection.execute(query).fetchall()[0][0])
    return max(map(int, numbers))


def recover(settings: Settings) -> Recovery | None:
    """Set a warehouse file that is broken aside, and begin a new one with the records of the last publication.

    What a run that was killed has left of what it held on the disk for want of memory goes: to DuckDB it is no file of
    its own until it finds no room in memory again, and it may be as large as the disk.

    Returns:
        What was done; None where the file is sound.

    Raises:
        duckdb.Error: It cannot be opened, and is not broken.
    """
    reason = fault(settings)
    # Nobody else had the file open.
    shutil.rmtree(f"{settings.warehouse}.tmp", ignore_errors=True)
    if reason is None:
        return None
    # It stays until the new file is whole: a recovery that is killed is begun again.
    suspicion(settings).write_text(reason, encoding="utf-8")
    aside = set_aside(settings.warehouse, journal=".wal")
    with connect(settings) as connection:
        records = _bring_back_records(connection, settings)
    suspicion(settings).unlink(missing_ok=True)
    recovery = Recovery(reason=reason, set_aside=str(aside) if aside else None, records=records)
    _told(settings).write_text(json.dumps(asdict(recovery)), encoding="utf-8")
    return recovery


def last_recovery(settings: Settings) -> Recovery | None:
    """The recovery that no night has been published after, if there is one."""
    path = _told(settings)
    return Recovery(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def forget(settings: Settings) -> None:
    """Note that what was built anew has been published."""
    _told(settings).unlink(missing_ok=True)


def _told(settings: Settings) -> Path:
    return settings.warehouse.parent / ".recovered"


def _published(settings: Settings) -> Path:
    return settings.published / "marts.duckdb"


def _bring_back_records(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    published = _published(settings)
    rows = 0
    if not published.exists():
        return rows
    with contextlib.suppress(duckdb.Error), attached(connection, published, "last_published"):
        for table, query in _RECORDS.items():
            # By name: a published file may be of a version that had other columns.
            with contextlib.suppress(duckdb.CatalogException):
                rows += int(connection.execute(f"insert into {table} by name {query}").fetchall()[0][0])
    return rows
