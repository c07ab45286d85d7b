"""One dump file into one Parquet file of canonical events, every row accounted for."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from duckdb.func import FunctionNullHandling

from orchestration.ingestion import readers
from orchestration.ingestion.expressions import HELPERS
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.mappings import Mapping
from orchestration.ingestion.pipes import Pipe
from orchestration.ingestion.shapes import Shape
from orchestration.ingestion.streams import Stream
from orchestration.ingestion.witness import Witness
from orchestration.sql import literal

# On click dumps, where half of the columns are nearly unique, these cost half the CPU of DuckDB's defaults
# and give files 15 % smaller: level 1 for 3, no long search for repeated values, and V2's delta encodings.
_PARQUET = "format parquet, parquet_version v2, compression zstd, compression_level 1, dictionary_size_limit 2000"

_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What became of one file's rows; `rows + filtered + rejected` are all there are."""

    rows: int
    filtered: int
    rejected: int
    first_event_ts: str | None = None
    last_event_ts: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def connect(*, memory_limit: str, threads: int, spill: Path, share: int = 1) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads dumps: in UTC, offline, spilling where told.

    Args:
        memory_limit: As DuckDB spells it.
        threads: How many cores to use. A scan whose rows are numbered keeps but one busy, and DuckDB's others
            burn a core each in waiting for it.
        spill: A directory.
        share: With how many others it shares the memory.
    """
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    if share > 1:
        number, unit = connection.execute("select current_setting('memory_limit')").fetchall()[0][0].split()
        connection.execute(f"set memory_limit = '{float(number) / share:.3f} {unit}'")
    connection.execute("set global timezone = 'UTC'")
    for helper in HELPERS:
        connection.execute(helper)
    # A pushed-down filter is a second copy of each expression it is made of, and of what those are made of:
    # here that made loads five times slower. A list of more than five constants becomes a join.
    connection.execute("set global disabled_optimizers = 'filter_pushdown,in_clause'")
    return connection


class Loader:
    """Loads the files of one source.

    Args:
        mapping: The source's expressions.
        connection: From `connect`; or a cursor of it, for each loader that works at the same time.
        on_stream: Told of the stream of each file that is being read.
    """

    def __init__(
        self,
        mapping: Mapping,
        connection: duckdb.DuckDBPyConnection,
        *,
        on_stream: Callable[[Stream], None] | None = None,
    ) -> None:
        self.mapping = mapping
        self.source = mapping.source
        self._connection = connection
        self._on_stream = on_stream

    def load(self, path: Path, shape: Shape, *, file: str, load_id: str, target: Path) -> Loaded:
        """Write a file's canonical events to `target`, and its rejects beside it.

        The first try is the cheapest. Where the parser stumbles, or has not seen the end of the file, comes the
        next, which bears more. A column of whole numbers that is not one after all costs one more.

        Args:
            path: The file.
            shape: What `inspection.inspect` found.
            file: How the lake calls it.
            load_id: The load it becomes.
            target: A Parquet file in a directory of the loader's own. Rejects go to the same name with the
                suffix `.rejects`. What would hold no row is not written.

        Raises:
            UnreadableFileError: Nothing of it can be read.
        """
        started = time.monotonic()
        as_number: frozenset[str] = frozenset()
        ways = readers.ways(shape, trusted=self.mapping.is_trusted)
        while True:
            rejects = target.with_suffix(f".{next(_numbers)}.rejects")
            witness = Witness(rejects, load_id=load_id, source=self.source.name, file=file)
            query = self.mapping.query(shape, as_number=as_number)
            constants = {"source": self.source.name, "dump_file": file, "load_id": load_id}
            try:
                rows, damage = self._copy(path, shape, query.sql, constants, witness, target, ways[0])
            except duckdb.Error as error:
                if len(ways) == 1:
                    said = str(error).splitlines()[0]
                    raise UnreadableFileError(f"{path}: cannot be read ({said})") from None
                self.mapping.is_trusted &= ways.pop(0) != "trusting"
            except ValueError as error:
                raise UnreadableFileError(f"{path}: {error}") from None
            else:
                if witness.retyped:
                    as_number |= witness.retyped
                elif witness.total is None and len(ways) > 1:
                    ways.pop(0)
                else:
                    break
        loaded = self._finish(path, shape, file, target, witness, rows, damage, started)
        if rejects.exists():
            rejects.rename(target.with_suffix(".rejects"))
        return loaded

    def _copy(
        self,
        path: Path,
        shape: Shape,
        sql: Callable[..., str],
        constants: dict[str, str],
        witness: Witness,
        target: Path,
        way: readers.Way,
    ) -> tuple[int, str | None]:
        """Run the query once; returns the rows written and what is wrong with the file."""
        if shape.layout == "csv" and not shape.columns:
            witness.total = 0
            return 0, None
        name = f"witness_{next(_numbers)}"
        self._connection.create_function(
            name,
            witness,
            ["BIGINT", "VARCHAR", "VARCHAR"],
            "BOOLEAN",
            null_handling=FunctionNullHandling.SPECIAL,
            side_effects=True,
        )

        def run(relation: str) -> int:
            query = sql(relation, witness=name, trusting=way == "trusting", **constants)
            copied = self._connection.execute(f"copy ({query}) to {literal(target)} ({_PARQUET})")
            return int(copied.fetchall()[0][0])

        try:
            if shape.layout == "parquet":
                rows = run(readers.relation(path, shape, careful=False))
                witness.total = shape.rows
                return rows, None
            careful = way == "careful"
            stream, fed = readers.feed(path, self.source, shape, careful=careful)
            if self._on_stream:
                self._on_stream(stream)
            with Pipe(fed, target.with_suffix(f".{next(_numbers)}.pipe")) as pipe:
                try:
                    rows = run(readers.relation(pipe.path, shape, careful=careful))
                except duckdb.Error:
                    if pipe.error is None:
                        raise
            if pipe.error is not None:
                raise pipe.error
            return rows, stream.damage
        finally:
            self._connection.remove_function(name)

    def _finish(
        self,
        path: Path,
        shape: Shape,
        file: str,
        target: Path,
        witness: Witness,
        rows: int,
        damage: str | None,
        started: float,
    ) -> Loaded:
        if witness.total is None:
            raise UnreadableFileError(f"{path}: its end was not reached")
        filtered = witness.total - witness.blank - rows - witness.rejected
        if filtered < witness.empty or (filtered > witness.empty and self.source.where is None):
            raise RuntimeError(
                f"{path}: of {witness.total} rows {rows} were loaded and {witness.rejected} rejected; "
                "please report this, with the file"
            )
        warnings = list(shape.notes)
        if damage:
            witness.reject(witness.total + 1, None, f"{damage}; what comes after is missing")
            warnings.append(f"{file}: {damage}; what could be read is loaded, fetch the file again")
        witness.close()
        first = last = None
        if rows:
            span = f"select min(event_ts), max(event_ts) from read_parquet({literal(target)})"
            first, last = (ts.isoformat(sep=" ") for ts in self._connection.execute(span).fetchall()[0])
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
