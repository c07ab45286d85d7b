"""The lake: canonical events in Parquet, each dump's content exactly once, and a catalogue that says which."""

import fcntl
import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestration.ingestion import readers
from orchestration.ingestion.catalog import Catalog, File, Load
from orchestration.ingestion.expressions import literal, quoted
from orchestration.ingestion.loader import REJECTS_SCHEMA, Loaded, load_file, sync
from orchestration.ingestion.mapping import Binder, MappingError, nearest
from orchestration.ingestion.readers import Shape, UnreadableFile
from orchestration.ingestion.sources import Source

COMMIT_EVERY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a load has come."""

    source: str
    files_done: int
    files_total: int
    rows: int
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What one load of one source did. File counts are of this load; times are UTC, as ISO 8601 text."""

    source: str
    loaded: int = 0
    replaced: int = 0
    unchanged: int = 0
    duplicate: int = 0
    withdrawn: int = 0
    rows: int = 0
    filtered: int = 0
    rejected: int = 0
    first_event_ts: str | None = None
    last_event_ts: str | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A file whose content is to be loaded."""

    path: Path
    file: File
    load_id: str
    retires: tuple[str, ...] = ()


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

    def rejected_share(self, source: str) -> float:
        """The share of a source's live rows that were rejected; 0 without rows."""
        live = [load for load in self.loads(source) if load.status == "live"]
        rejected = sum(load.rejected for load in live)
        total = rejected + sum(load.rows + load.filtered for load in live)
        return rejected / total if total else 0.0

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
            on_progress: Called after each file.
        """
        started = time.monotonic()
        with self._locked():
            self._sweep()
            run = _Run(self, source, data_dir, memory_limit, threads, on_progress)
            try:
                report = run.load()
            finally:
                run.close()
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
            {
                n: pa.array([getattr(load, n) for load in loads], type=_ARROW.get(n, pa.string()))
                for n in names
            }
        )
        files = [
            str(self.root / load.rejects_file)
            for load in loads
            if load.status == "live" and load.rejects_file
        ]
        listed = ", ".join(literal(file) for file in files)
        rejects = f"select * from read_parquet([{listed}])" if files else "select * from _avila_no_rejects"
        times = ", ".join(
            f"cast({n} as timestamp) as {n}" for n in ("first_event_ts", "last_event_ts", "loaded_at")
        )
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


_ARROW = {
    "load_seq": pa.int64(),
    "retired_seq": pa.int64(),
    "rows": pa.int64(),
    "filtered": pa.int64(),
    "rejected": pa.int64(),
    "seconds": pa.float64(),
}


class _Run:
    """One load of one source, under the lake's lock."""

    def __init__(
        self,
        lake: Lake,
        source: Source,
        data_dir: Path,
        memory_limit: str,
        threads: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.lake = lake
        self.catalog = lake._catalog
        self.source = source
        self.data_dir = data_dir
        self.threads = threads
        self.on_progress = on_progress
        self.fingerprint = source.fingerprint()
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.report = LoadReport(source=source.name)
        staging = lake.root / "staging"
        self.staging = staging
        self.connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "threads": threads,
                "temp_directory": str(staging / "spill"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        self.connection.execute("set global timezone = 'UTC'")
        # A pushed-down filter is a second copy of every expression it is made of, and of what those are made of.
        self.connection.execute("set global disabled_optimizers = 'filter_pushdown,in_clause'")
        self.binder: Binder | None = None
        self.previous_columns: dict[str, str] | None = None

    def close(self) -> None:
        self.connection.close()

    # ------------------------------------------------------------------- plan

    def load(self) -> LoadReport:
        try:
            self.binder = Binder(self.source, self.connection)
        except MappingError as error:
            return replace(self.report, failures=(str(error),))
        paths = self._discover()
        known = self.catalog.files(self.source.name)
        live = {
            load.content_hash: load for load in self.catalog.loads(self.source.name) if load.status == "live"
        }
        seen = self._look(paths, known)
        wanted = {**{f.file: f for f in known.values()}, **seen}
        gone = [name for name in known if name not in paths]
        if self.source.removed_files == "withdraw":
            wanted = {name: file for name, file in wanted.items() if name in paths}
        held = {file.content_hash for file in wanted.values()}
        stale = {h for h, load in live.items() if load.mapping_fingerprint != self.fingerprint and h in held}

        first_of: dict[str, File] = {}
        for name in sorted(seen):
            first_of.setdefault(seen[name].content_hash, seen[name])
        kept_old = [live[h].file for h in stale if h not in first_of]
        if kept_old:
            self.warnings.append(
                f"{len(kept_old)} loaded files are gone from {', '.join(self.source.path)} and keep the mapping "
                f"they were loaded with (such as {kept_old[0]}); put them back to load them anew"
            )
        tasks = []
        for content, file in first_of.items():
            old = live.get(content)
            if old is not None and content not in stale:
                continue
            tasks.append(
                _Task(
                    path=paths[file.file],
                    file=file,
                    load_id=self._load_id(content),
                    retires=(old.load_id,) if old else (),
                )
            )
        remapping = any(task.retires for task in tasks)
        changed = {
            name: known[name].content_hash for name in seen if name in known and known[name] != seen[name]
        }
        new_names = {task.file.file for task in tasks}
        copies = [
            file
            for name, file in sorted(seen.items())
            if name not in new_names and (name not in known or known[name].content_hash != file.content_hash)
        ]
        unchanged = len(seen) - len(new_names) - len(copies)
        self.report = replace(self.report, unchanged=unchanged, duplicate=len(copies))
        loaded = self._load_all(tasks, all_at_once=remapping)
        failed = new_names - loaded
        # A file that could not be read keeps its old rows until it can.
        held |= {changed[name] for name in failed if name in changed}
        self._settle(seen, copies, gone, held, failed, live)
        return replace(self.report, warnings=tuple(self.warnings), failures=tuple(self.failures))

    def _discover(self) -> dict[str, Path]:
        """The source's files by the name the lake calls them: relative to the data directory where possible."""
        found: dict[str, Path] = {}
        for pattern in self.source.path:
            if "://" in pattern:
                self.failures.append(
                    f"source {self.source.name}: {pattern}: only local paths can be read; copy the files to the "
                    f"landing directory"
                )
                continue
            matches = glob.glob(str(self.data_dir / Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
            for match in sorted(matches):
                path = Path(match)
                if path.is_dir():
                    if not pattern.endswith("**"):
                        self.warnings.append(f"{match} is a directory, not a dump; left out")
                    continue
                inside = path.is_relative_to(self.data_dir)
                found[path.relative_to(self.data_dir).as_posix() if inside else path.as_posix()] = path
        if not found and not self.failures:
            self.warnings.append(f"source {self.source.name}: no file matches {', '.join(self.source.path)}")
        return dict(sorted(found.items()))

    def _look(self, paths: dict[str, Path], known: dict[str, File]) -> dict[str, File]:
        """Stat every file, and hash those that are not as they were last seen."""
        seen = {}
        for name, path in paths.items():
            try:
                stat = path.stat()
                old = known.get(name)
                looks = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
                if old and (old.size, old.mtime_ns, old.ctime_ns) == looks:
                    content = old.content_hash
                else:
                    with path.open("rb") as file:
                        content = hashlib.file_digest(file, "sha256").hexdigest()
                after = path.stat()
            except OSError as error:
                self.failures.append(f"{path}: cannot be read ({error.strerror}); check its permissions")
                continue
            if (after.st_size, after.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                self.warnings.append(f"{name} is still being written; left for the next load")
                continue
            seen[name] = File(
                source=self.source.name,
                file=name,
                content_hash=content,
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                ctime_ns=stat.st_ctime_ns,
                present=True,
            )
        return seen

    def _load_id(self, content: str) -> str:
        """A hash of source, content and mapping; numbered when the same content comes back after it had gone."""
        base = f"{self.source.name}\n{content}\n{self.fingerprint}"
        taken = {load.load_id for load in self.catalog.loads(self.source.name)}
        number = 0
        while True:
            text = f"{base}\n{number}" if number else base
            load_id = hashlib.sha256(text.encode()).hexdigest()[:32]
            if load_id not in taken:
                return load_id
            number += 1

    # ------------------------------------------------------------------- load

    def _load_all(self, tasks: list[_Task], *, all_at_once: bool) -> set[str]:
        """Load files side by side and commit them in order; returns the names of those that succeeded."""
        done: set[str] = set()
        if not tasks:
            return done
        shapes = self._shapes(tasks)
        tasks = [task for task in tasks if task.file.file in shapes]
        total = sum(task.file.size for task in tasks)
        self.previous_columns = self._last_columns()
        rows = bytes_done = 0
        batch: list[tuple[_Task, Loaded, Shape]] = []
        committed = time.monotonic()
        workers = max(1, min(self.threads, len(tasks)))
        with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
            cursors = [self.connection.cursor() for _ in range(workers)]
            futures = [pool.submit(self._load_one, task, shapes[task.file.file], cursors) for task in tasks]
            try:
                for number, (task, future) in enumerate(zip(tasks, futures, strict=True), start=1):
                    try:
                        loaded = future.result()
                    except (UnreadableFile, MappingError) as error:
                        self.failures.append(str(error))
                    else:
                        if loaded is None:
                            self.warnings.append(
                                f"{task.file.file} is still being written; left for the next load"
                            )
                            continue
                        batch.append((task, loaded, shapes[task.file.file]))
                        rows += loaded.rows
                    bytes_done += task.file.size
                    if not all_at_once and time.monotonic() - committed > COMMIT_EVERY_SECONDS:
                        done |= self._commit(batch)
                        batch, committed = [], time.monotonic()
                    if self.on_progress:
                        self.on_progress(
                            Progress(
                                source=self.source.name,
                                files_done=number,
                                files_total=len(tasks),
                                rows=rows,
                                bytes_done=bytes_done,
                                bytes_total=total,
                            )
                        )
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                for cursor in cursors:
                    cursor.close()
        return done | self._commit(batch)

    def _shapes(self, tasks: list[_Task]) -> dict[str, Shape]:
        """Look at the head of each file; refuse expressions whose columns no file has."""
        assert self.binder is not None
        shapes: dict[str, Shape] = {}
        missing: dict[str, dict[str, str]] = {}
        for task in tasks:
            try:
                shape = readers.inspect(task.path, self.source, self.binder.wanted)
                if shape.columns or shape.layout != "csv":
                    missing[task.file.file] = self.binder.bind(shape).missing
                shapes[task.file.file] = shape
            except (UnreadableFile, MappingError) as error:
                self.failures.append(
                    f"{task.file.file}: {error}" if isinstance(error, MappingError) else str(error)
                )
        known = {name.casefold() for shape in shapes.values() for name in (c.name for c in shape.columns)}
        known |= {name.casefold() for load in self.catalog.loads(self.source.name) for name in _names(load)}
        for file, lacking in missing.items():
            for key, column in lacking.items():
                own = key == "where" or (
                    key in self.source.columns and key not in self.source.optional_columns
                )
                if not own or column.split(".")[0].casefold() in known:
                    continue
                shape = shapes[file]
                names = [c.name for c in shape.columns]
                said = (
                    f"source {self.source.name}: {'`where`' if key == 'where' else f'`columns.{key}`'} reads "
                    f"{column}, which {file} does not have{nearest(column, names)} Its columns are {', '.join(names)}"
                )
                if shape.layout in ("jsonl", "documents") and key not in ("event_ts", "event_name"):
                    if said not in self.warnings and not any(f"reads {column}," in w for w in self.warnings):
                        self.warnings.append(said)
                    continue
                self.failures.append(said)
                shapes.pop(file)
                break
        return shapes

    def _load_one(self, task: _Task, shape: Shape, cursors: list[duckdb.DuckDBPyConnection]) -> Loaded | None:
        assert self.binder is not None
        cursor = cursors.pop()
        try:
            loaded = load_file(
                cursor,
                source=self.source,
                binder=self.binder,
                shape=shape,
                path=task.path,
                file=task.file.file,
                load_id=task.load_id,
                target=self.staging / f"{task.load_id}.parquet",
            )
        finally:
            cursors.append(cursor)
        after = task.path.stat()
        moved = (after.st_size, after.st_mtime_ns) != (task.file.size, task.file.mtime_ns)
        return None if moved else loaded

    def _commit(self, batch: list[tuple[_Task, Loaded, Shape]]) -> set[str]:
        """Move finished files into place and make them visible, all in one step."""
        if not batch:
            return set()
        root = self.lake.root
        folder = root / "events" / f"source={self.source.name}"
        folder.mkdir(parents=True, exist_ok=True)
        placed: dict[str, tuple[str | None, str | None]] = {}
        for task, _, _ in batch:
            staged = self.staging / f"{task.load_id}.parquet"
            placed[task.load_id] = (
                self._place(staged, folder / staged.name),
                self._place(staged.with_suffix(".rejects"), root / "rejects" / staged.name),
            )
        for directory in (folder, root / "rejects"):
            sync(directory)
        with self.catalog.transaction():
            for task, loaded, _ in batch:
                seq = self.catalog.next_seq()
                self.catalog.retire(task.retires, status="replaced", seq=seq)
                parquet, rejects = placed[task.load_id]
                self.catalog.add(
                    self._entry(
                        task.file,
                        load_id=task.load_id,
                        seq=seq,
                        parquet_file=parquet,
                        rejects_file=rejects,
                        loaded=loaded,
                    )
                )
                self.catalog.see(task.file)
                self._count(loaded, replaced=bool(task.retires))
        return {task.file.file for task, _, _ in batch}

    def _place(self, staged: Path, target: Path) -> str | None:
        if not staged.exists():
            return None
        sync(staged)
        os.replace(staged, target)  # noqa: PTH105 - the atomic rename is the point
        return target.relative_to(self.lake.root).as_posix()

    def _entry(
        self,
        file: File,
        *,
        load_id: str,
        seq: int,
        parquet_file: str | None = None,
        rejects_file: str | None = None,
        loaded: Loaded | None = None,
    ) -> Load:
        columns = loaded.columns if loaded else {}
        return Load(
            load_id=load_id,
            load_seq=seq,
            retired_seq=None,
            status="live" if loaded else "duplicate",
            source=self.source.name,
            file=file.file,
            content_hash=file.content_hash,
            mapping_fingerprint=self.fingerprint,
            parquet_file=parquet_file,
            rejects_file=rejects_file,
            rows=loaded.rows if loaded else 0,
            filtered=loaded.filtered if loaded else 0,
            rejected=loaded.rejected if loaded else 0,
            first_event_ts=loaded.first_event_ts if loaded else None,
            last_event_ts=loaded.last_event_ts if loaded else None,
            schema_columns=json.dumps(columns, ensure_ascii=False),
            schema_changes=json.dumps(self._changes(columns) if loaded else {}, ensure_ascii=False),
            seconds=loaded.seconds if loaded else 0.0,
            loaded_at=datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00"),
        )

    def _last_columns(self) -> dict[str, str] | None:
        live = [load for load in self.catalog.loads(self.source.name) if load.status == "live"]
        return dict(json.loads(live[-1].schema_columns)) if live else None

    def _changes(self, columns: dict[str, str]) -> dict[str, object]:
        """How a file's columns differ from those of the load before."""
        before, self.previous_columns = self.previous_columns, columns
        if before is None:
            return {}
        changes: dict[str, object] = {
            "new": sorted(set(columns) - set(before)),
            "missing": sorted(set(before) - set(columns)),
            "retyped": {
                n: [before[n], t] for n, t in sorted(columns.items()) if n in before and before[n] != t
            },
        }
        return {kind: what for kind, what in changes.items() if what}

    def _count(self, loaded: Loaded, *, replaced: bool) -> None:
        report = self.report
        firsts = [t for t in (report.first_event_ts, loaded.first_event_ts) if t]
        lasts = [t for t in (report.last_event_ts, loaded.last_event_ts) if t]
        self.report = replace(
            report,
            loaded=report.loaded + 1,
            replaced=report.replaced + replaced,
            rows=report.rows + loaded.rows,
            filtered=report.filtered + loaded.filtered,
            rejected=report.rejected + loaded.rejected,
            first_event_ts=min(firsts, default=None),
            last_event_ts=max(lasts, default=None),
        )
        self.warnings.extend(w for w in loaded.warnings if w not in self.warnings)

    # ----------------------------------------------------------------- settle

    def _settle(
        self,
        seen: dict[str, File],
        copies: list[File],
        gone: list[str],
        held: set[str],
        failed: set[str],
        live: dict[str, Load],
    ) -> None:
        """Retire what no file holds any more, and note copies and files that went away."""
        current = self.catalog.loads(self.source.name)
        dropped = [load for load in current if load.status == "live" and load.content_hash not in held]
        withdrawn = [load for load in dropped if load.file in gone]
        replaced = [load for load in dropped if load.file not in gone]
        with self.catalog.transaction():
            if dropped:
                seq = self.catalog.next_seq()
                self.catalog.retire([load.load_id for load in withdrawn], status="withdrawn", seq=seq)
                self.catalog.retire([load.load_id for load in replaced], status="replaced", seq=seq)
            for file in copies:
                seq = self.catalog.next_seq()
                text = f"{self.source.name}\n{file.content_hash}\n{self.fingerprint}\n{file.file}\n{seq}"
                load_id = hashlib.sha256(text.encode()).hexdigest()[:32]
                self.catalog.add(self._entry(file, load_id=load_id, seq=seq))
            for name, file in seen.items():
                if name not in failed:
                    self.catalog.see(file)
            for name in gone:
                self.catalog.leave(self.source.name, name, forget=self.source.removed_files == "withdraw")
        for file in copies:
            original = next((c.file for c in current if c.content_hash == file.content_hash), "another file")
            self.warnings.append(f"{file.file} has the same content as {original}; not loaded again")
        self.report = replace(
            self.report, replaced=self.report.replaced + len(replaced), withdrawn=len(withdrawn)
        )


def _names(load: Load) -> list[str]:
    return list(json.loads(load.schema_columns))
