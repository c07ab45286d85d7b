"""One dump file into one Parquet file, with a witness for every row that is not kept."""

import itertools
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.ingestion import feed, readers
from orchestration.ingestion.expressions import literal
from orchestration.ingestion.mapping import BLANK, RETYPE, Binder
from orchestration.ingestion.readers import Shape, UnreadableFile
from orchestration.ingestion.sources import Source

REJECTS_SCHEMA = pa.schema(
    [
        ("load_id", pa.string()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("row_number", pa.int64()),
        ("raw_text", pa.string()),
        ("reason", pa.string()),
    ]
)

# Level 1 and a bounded dictionary cost 40 % less CPU than DuckDB's defaults and give files of the same size
# on click dumps, where half of the columns are nearly unique.
_PARQUET = "format parquet, compression zstd, compression_level 1, dictionary_size_limit 10000"

_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What became of one file's rows."""

    rows: int
    filtered: int
    rejected: int
    first_event_ts: str | None
    last_event_ts: str | None
    columns: dict[str, str]
    reasons: dict[str, int]
    warnings: tuple[str, ...]
    seconds: float


class Witness:
    """Sees every row a query does not keep, counts it, and writes the rejected ones to Parquet.

    It is called by DuckDB from within the query's filter, one vector of rows at a time, and only with rows
    that fail it: one scan both loads the good rows and explains the bad ones.
    """

    def __init__(self, path: Path, *, load_id: str, source: str, file: str) -> None:
        self.blank = 0
        self.rejected = 0
        self.total: int | None = None
        self.retyped: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self._path = path
        self._constants = (load_id, source, file)
        self._waiting: list[tuple[int, str | None, str]] = []
        self._bytes = 0
        self._writer: pq.ParquetWriter | None = None

    def __call__(self, row: int, reason: str, raw: str | None) -> bool:
        """Take note of a row; it is not kept."""
        if reason == BLANK:
            self.blank += 1
        elif reason == feed.END:
            self.total = row - 1
        elif reason.startswith(RETYPE):
            self.retyped.add(reason.removeprefix(RETYPE))
        else:
            self.reject(row, raw, reason)
        return False

    def reject(self, row: int, raw: str | None, reason: str) -> None:
        """Take note of one rejected row."""
        self.rejected += 1
        if len(self.reasons) < 1000:
            self.reasons[reason.split("'")[0].strip()] += 1
        self._waiting.append((row, raw, reason))
        self._bytes += len(raw or "") + 100
        if self._bytes > 16 << 20:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        numbers, raws, reasons = zip(*sorted(self._waiting, key=lambda waiting: waiting[0]), strict=True)
        constants = [[value] * len(numbers) for value in self._constants]
        columns = [*constants, list(numbers), list(raws), list(reasons)]
        table = pa.Table.from_arrays(
            [pa.array(c, type=f.type) for c, f in zip(columns, REJECTS_SCHEMA, strict=True)],
            schema=REJECTS_SCHEMA,
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, REJECTS_SCHEMA, compression="zstd")
        self._writer.write_table(table)
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        """Write what is still waiting; without a rejected row there is no file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()


def load_file(
    connection: duckdb.DuckDBPyConnection,
    *,
    source: Source,
    binder: Binder,
    shape: Shape,
    path: Path,
    file: str,
    load_id: str,
    target: Path,
) -> Loaded:
    """Read one dump file and write its canonical events to `target`, its rejects beside it.

    Args:
        connection: An in-memory DuckDB connection whose time zone is UTC.
        source: How the file is declared.
        binder: The source's expressions.
        shape: What `readers.inspect` found.
        path: The file.
        file: How the lake calls it.
        load_id: The load it becomes.
        target: Where the Parquet goes. Rejects go to the same name with the suffix `.rejects`. A file that
            would hold no row is not written.

    Raises:
        UnreadableFile: No part of it can be read.
    """
    started = time.monotonic()
    rejects = target.with_suffix(".rejects")
    careful = False
    as_number: frozenset[str] = frozenset()
    while True:
        witness = Witness(rejects, load_id=load_id, source=source.name, file=file)
        query = binder.bind(shape, as_number=as_number)
        name = f"witness_{next(_numbers)}"
        connection.create_function(
            name,
            witness,  # type: ignore[arg-type]
            ["BIGINT", "VARCHAR", "VARCHAR"],  # type: ignore[list-item]
            "BOOLEAN",  # type: ignore[arg-type]
            null_handling="special",  # type: ignore[arg-type]
            side_effects=True,
        )
        constants = {"witness": name, "source": source.name, "dump_file": file, "load_id": load_id}
        damage = None
        try:
            if shape.layout == "parquet":
                rows = _copy(
                    connection, query.sql(readers.relation(path, shape, careful=False), **constants), target
                )
                witness.total = shape.rows
            elif not shape.columns and shape.layout == "csv":
                rows, witness.total = 0, 0
            else:
                pipe_path = target.with_suffix(f".{next(_numbers)}.pipe")
                stream, blocks = readers.blocks(path, source, shape, careful=careful)
                with feed.Pipe(blocks, pipe_path) as pipe:
                    relation = readers.relation(pipe_path, shape, careful=careful)
                    rows = _copy(connection, query.sql(relation, **constants), target)
                if pipe.error:
                    raise pipe.error
                damage = stream.damage
        except duckdb.Error as error:
            if careful or shape.layout == "parquet":
                reason = str(error).splitlines()[0]
                raise UnreadableFile(f"{path}: cannot be read ({reason})") from None
            careful = True
            continue
        finally:
            connection.remove_function(name)
            rejects.unlink(missing_ok=True)
        if witness.retyped:
            as_number |= witness.retyped
            continue
        if witness.total is None and not careful:
            careful = True  # the parser has not reached the end: a quote left open swallowed it
            continue
        break
    if witness.total is None:
        raise UnreadableFile(f"{path}: the parser did not reach the end of the file")
    filtered = witness.total - witness.blank - rows - witness.rejected
    if filtered < 0 or (filtered and source.where is None):
        raise AssertionError(f"{path}: {witness.total} rows in, {rows} loaded, {witness.rejected} rejected")
    warnings = list(shape.notes)
    if damage:
        witness.reject(witness.total + 1, None, f"{damage}; the rows after this are missing")
        warnings.append(f"{file}: {damage}; fetch it again, the rows up to there are loaded")
    witness.close()
    first = last = None
    if rows:
        first, last = connection.execute(
            f"select cast(min(event_ts) as varchar), cast(max(event_ts) as varchar) "
            f"from read_parquet({literal(str(target))})"
        ).fetchall()[0]
    else:
        target.unlink(missing_ok=True)
    return Loaded(
        rows=rows,
        filtered=filtered,
        rejected=witness.rejected,
        first_event_ts=first,
        last_event_ts=last,
        columns={c.name: c.native if c.kind == "native" else c.kind for c in shape.columns},
        reasons=dict(witness.reasons.most_common(5)),
        warnings=tuple(warnings),
        seconds=round(time.monotonic() - started, 3),
    )


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    counted = connection.execute(f"copy ({query}) to {literal(str(target))} ({_PARQUET})").fetchall()
    return int(counted[0][0])


def sync(path: Path) -> None:
    """Have a file's or directory's content on the disk before something says that it is there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
