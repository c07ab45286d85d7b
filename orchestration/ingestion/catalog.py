"""The lake's catalogue: which content is loaded, from which file, as which Parquet.

A load is visible once its row is committed here, and not before.
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from orchestration.sqlite_file import SqliteFile

Status = Literal["live", "replaced", "withdrawn", "duplicate"]

_SCHEMA = """
create table if not exists loads (
    load_id text primary key,
    load_seq integer not null unique,
    retired_seq integer,
    status text not null check (status in ('live', 'replaced', 'withdrawn', 'duplicate')),
    source text not null,
    file text not null,
    content_hash text not null,
    mapping_fingerprint text not null,
    parquet_file text,
    rejects_file text,
    rows integer not null,
    filtered integer not null,
    rejected integer not null,
    first_event_ts text,
    last_event_ts text,
    schema_columns text not null,
    schema_changes text not null,
    seconds real not null,
    loaded_at text not null
) strict;
create table if not exists files (
    source text not null,
    file text not null,
    content_hash text not null,
    size integer not null,
    mtime_ns integer not null,
    ctime_ns integer not null,
    present integer not null,
    primary key (source, file)
) strict;
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """One file's content as it was loaded under one mapping. Times are UTC, as ISO 8601 text."""

    load_id: str
    load_seq: int
    retired_seq: int | None
    status: Status
    source: str
    file: str
    content_hash: str
    mapping_fingerprint: str
    parquet_file: str | None
    rejects_file: str | None
    rows: int
    filtered: int
    rejected: int
    first_event_ts: str | None
    last_event_ts: str | None
    schema_columns: str
    schema_changes: str
    seconds: float
    loaded_at: str


@dataclass(frozen=True, kw_only=True)
class File:
    """A dump file as it was last seen."""

    source: str
    file: str
    content_hash: str
    size: int
    mtime_ns: int
    ctime_ns: int
    present: bool


class Catalog(SqliteFile):
    """`catalog.sqlite`: every change is one transaction, so a killed load leaves no half of itself.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, schema=_SCHEMA)

    def next_seq(self) -> int:
        """The next number of the counter that orders loads and retirements; for use within a transaction."""
        query = "select 1 + max(coalesce(max(load_seq), 0), coalesce(max(retired_seq), 0)) from loads"
        (number,) = self._connection.execute(query).fetchone()
        return int(number)

    def loads(self, source: str | None = None) -> list[Load]:
        """All loads, of one source or of all, by `load_seq`."""
        names = ", ".join(field.name for field in fields(Load))
        rows = self._connection.execute(
            f"select {names} from loads where ?1 is null or source = ?1 order by load_seq", [source]
        )
        return [Load(**dict(zip(names.split(", "), row, strict=True))) for row in rows]

    def add(self, load: Load) -> None:
        """Record a load."""
        row = asdict(load)
        marks = ", ".join("?" for _ in row)
        self._connection.execute(f"insert into loads ({', '.join(row)}) values ({marks})", list(row.values()))

    def retire(self, load_id: str, *, status: Status, seq: int) -> None:
        """Take a load out of the lake's content. Its Parquet stays until it is pruned."""
        self._connection.execute(
            "update loads set status = ?, retired_seq = ? where load_id = ?", [status, seq, load_id]
        )

    def forget_parquet(self, load_id: str) -> None:
        """Note that a retired load's Parquet and rejects are gone."""
        self._connection.execute(
            "update loads set parquet_file = null, rejects_file = null where load_id = ?", [load_id]
        )

    def files(self, source: str) -> dict[str, File]:
        """The files of a source as last seen, by name."""
        names = [field.name for field in fields(File)]
        rows = self._connection.execute(f"select {', '.join(names)} from files where source = ?", [source])
        known = (File(**{**dict(zip(names, row, strict=True)), "present": bool(row[-1])}) for row in rows)
        return {file.file: file for file in known}

    def see(self, file: File) -> None:
        """Record how a file was seen."""
        row = asdict(file)
        marks = ", ".join("?" for _ in row)
        self._connection.execute(
            f"insert or replace into files ({', '.join(row)}) values ({marks})", list(row.values())
        )

    def leave(self, source: str, file: str, *, forget: bool) -> None:
        """Record that a file is no longer there."""
        change = "delete from files" if forget else "update files set present = 0"
        self._connection.execute(f"{change} where source = ? and file = ?", [source, file])


def id_of(text: str) -> str:
    """The id of a load: a hash of a text that tells it from all others."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
