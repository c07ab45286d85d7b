"""The lake: canonical events in Parquet, each dump's content exactly once, and the catalogue of it."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.ingestion.catalog import Catalog, Load
from orchestration.ingestion.loading import Loading
from orchestration.ingestion.reports import LoadReport, Progress
from orchestration.ingestion.sources import Source
from orchestration.ingestion.witness import REJECTS_SCHEMA
from orchestration.sql import literal, quoted

__all__ = ["Lake", "Load", "LoadReport", "Progress"]

_ARROW = {
    "load_seq": pa.int64(),
    "retired_seq": pa.int64(),
    "rows": pa.int64(),
    "filtered": pa.int64(),
    "rejected": pa.int64(),
    "seconds": pa.float64(),
}


@dataclass(frozen=True, kw_only=True)
class RejectReason:
    """Why some rows were rejected, and the first of them."""

    count: int
    reason: str
    file: str
    row_number: int
    raw_text: str | None


class Lake:
    """A directory of loaded events.

    Args:
        root: The directory; made when missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("events", "rejects", "staging"):
            (root / part).mkdir(parents=True, exist_ok=True)
        self._catalog = Catalog(root / "catalog.sqlite")

    def close(self) -> None:
        """Close the catalogue."""
        self._catalog.close()

    def loads(self, source: str | None = None) -> list[Load]:
        """Every load there was, by `load_seq`."""
        return self._catalog.loads(source)

    def is_loaded(self, source: str) -> bool:
        """Whether the lake holds a dump of a source."""
        return any(load.status == "live" for load in self.loads(source))

    def was_loaded(self, source: str) -> bool:
        """Whether the lake holds a dump of a source, or did before its files were withdrawn."""
        return bool(self.loads(source))

    def rejected_share(self, source: str) -> float:
        """The share of a source's live rows that were rejected; 0 without rows."""
        live = [load for load in self.loads(source) if load.status == "live"]
        rejected = sum(load.rejected for load in live)
        total = rejected + sum(load.rows + load.filtered for load in live)
        return rejected / total if total else 0.0

    def frequent_rejects(self, source: str, limit: int = 3) -> list[RejectReason]:
        """The reasons that most of a source's rejected rows have, the values that they name put aside."""
        live = [load.rejects_file for load in self.loads(source) if load.status == "live"]
        files = [str(self.root / file) for file in live if file]
        if not files:
            return []
        with duckdb.connect() as connection:
            found = connection.execute(
                """
                with first as (
                    select
                        count(*) as rows,
                        min_by(struct_pack(reason, file, row_number, raw_text), (file, row_number)) as example
                    from read_parquet($1)
                    group by regexp_replace(reason, $$'.*'$$, '…', 's')
                )
                select rows, example.reason, example.file, example.row_number, example.raw_text
                from first order by rows desc, example.file, example.row_number limit $2
                """,
                [files, limit],
            ).fetchall()
        return [
            RejectReason(count=count, reason=reason, file=file, row_number=row, raw_text=raw)
            for count, reason, file, row, raw in found
        ]

    def load(
        self,
        source: Source,
        *,
        data_dir: Path,
        memory_limit: str = "4GB",
        threads: int = 1,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> LoadReport:
        """Bring the lake up to date with a source's files.

        A content that the lake has is not loaded again, whatever its file is called. A changed file's rows
        replace its old ones in one step, and a changed mapping all its files'. A load that is killed leaves
        the lake as if the files it had not finished had not been there.

        Args:
            source: What to load.
            data_dir: What relative paths are relative to.
            memory_limit: DuckDB's memory limit, as DuckDB spells it.
            threads: How many cores to use.
            on_progress: Told of the progress, about once a second.
        """
        started = time.monotonic()
        with self._locked():
            self._sweep()
            loading = Loading(
                self.root,
                self._catalog,
                source,
                data_dir=data_dir,
                memory_limit=memory_limit,
                threads=threads,
                on_progress=on_progress,
            )
            try:
                report = loading.run()
            finally:
                loading.close()
                self._sweep()
        return replace(report, seconds=round(time.monotonic() - started, 3))

    def prune(self, applied_seq: int) -> int:
        """Delete the Parquet of loads retired at or before a sequence number; returns how many."""
        pruned = 0
        with self._locked():
            for load in self.loads():
                if load.retired_seq is None or load.retired_seq > applied_seq or load.parquet_file is None:
                    continue
                with self._catalog.transaction():
                    self._catalog.forget_parquet(load.load_id)
                pruned += 1
            self._sweep()
        return pruned

    def publish_catalog(self, connection: duckdb.DuckDBPyConnection, schema: str = "ops") -> None:
        """Mirror the catalogue and the live loads' rejects into tables `loads` and `rejects`.

        Args:
            connection: An open DuckDB connection, in no transaction.
            schema: Where the tables go; made when missing.
        """
        target = quoted(schema)
        loads = self.loads()
        names = list(Load.__dataclass_fields__)
        table = pa.table(
            {n: pa.array([getattr(load, n) for load in loads], type=_ARROW.get(n, pa.string())) for n in names}
        )
        files = [str(self.root / load.rejects_file) for load in loads if load.status == "live" and load.rejects_file]
        listed = ", ".join(literal(file) for file in files)
        rejects = f"select * from read_parquet([{listed}])" if files else "select * from _avila_no_rejects"
        times = ", ".join(f"cast({n} as timestamp) as {n}" for n in ("first_event_ts", "last_event_ts", "loaded_at"))
        connection.register("_avila_loads", table)
        connection.register("_avila_no_rejects", REJECTS_SCHEMA.empty_table())
        connection.execute("begin")
        try:
            connection.execute(f"create schema if not exists {target}")
            connection.execute(
                f"create or replace table {target}.loads as select * replace ({times}) from _avila_loads"
            )
            connection.execute(f"create or replace table {target}.rejects as {rejects}")
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
        finally:
            connection.unregister("_avila_loads")
            connection.unregister("_avila_no_rejects")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time; a second one waits."""
        with (self.root / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)

    def _sweep(self) -> None:
        """Delete what a killed load or a pruning left: every file that the catalogue does not know."""
        shutil.rmtree(self.root / "staging", ignore_errors=True)
        (self.root / "staging").mkdir(parents=True, exist_ok=True)
        loads = self.loads()
        known = {load.parquet_file for load in loads} | {load.rejects_file for load in loads}
        for part in ("events", "rejects"):
            for path in sorted((self.root / part).rglob("*")):
                if path.is_file() and path.relative_to(self.root).as_posix() not in known:
                    path.unlink()
