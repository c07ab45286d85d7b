"""One source's files against what the lake holds of them: what is new, changed, copied or gone, and loading it."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestration.disk import sync
from orchestration.ingestion.catalog import Catalog, File, Load, id_of
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.landing import Landing
from orchestration.ingestion.loader import Loaded, connect
from orchestration.ingestion.mappings import Mapping, MappingError
from orchestration.ingestion.plan import Plan
from orchestration.ingestion.reports import LoadReport, Progress, Remarks
from orchestration.ingestion.sources import Source
from orchestration.ingestion.workers import Job, Workers

COMMIT_SECONDS = 2.0
"""How much finished work may wait for its commit, and be lost to a kill: syncing each file would cost more."""


class Loading:
    """One load of one source, under the lake's lock.

    Args:
        root: The lake.
        catalog: Its catalogue.
        source: What to load.
        data_dir: What relative paths are relative to.
        memory_limit: DuckDB's, as DuckDB spells it.
        threads: How many cores to use.
        on_progress: Told of the progress, about once a second.
    """

    def __init__(
        self,
        root: Path,
        catalog: Catalog,
        source: Source,
        *,
        data_dir: Path,
        memory_limit: str,
        threads: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._root = root
        self._catalog = catalog
        self._source = source
        self._staging = root / "staging"
        self._landing = Landing(source, data_dir, staging=self._staging, memory_limit=memory_limit)
        self._memory_limit = memory_limit
        self._threads = threads
        self._on_progress = on_progress
        self._fingerprint = source.fingerprint()
        # For parsing and binding expressions; each worker reads its files on a connection of its own.
        self._connection = connect(memory_limit=memory_limit, threads=1, spill=self._staging / "spill")
        self._remarks = Remarks()
        self._loaded: list[Loaded] = []
        self._replaced = 0
        self._withdrawn = 0
        self._loads = catalog.loads(source.name)
        self._live = {load.content_hash: load for load in self._loads if load.status == "live"}
        self._known = catalog.files(source.name)
        self._seen = self._landing.look(self._known)

    def run(self) -> LoadReport:
        """Load what is to be loaded."""
        try:
            mapping = Mapping(self._source, self._connection)
        except MappingError as error:
            return LoadReport(source=self._source.name, failed=len(self._seen), failures=(str(error),))
        self._remarks.warn(self._landing.warnings)
        self._remarks.fail(self._landing.failures)
        self._remarks.passing.update(dict.fromkeys(self._landing.passing))
        plan = Plan(self._source, self._landing, seen=self._seen, loads=self._loads, remarks=self._remarks)
        done = self._load(mapping, plan.jobs(mapping))
        return self._settle(done)

    def close(self) -> None:
        """Free DuckDB's memory."""
        self._connection.close()
        self._landing.close()

    # -------------------------------------------------------------------- load

    def _load(self, mapping: Mapping, jobs: list[Job]) -> set[str]:
        """Load files side by side and commit them in order; returns the names of those that succeeded."""
        # A changed mapping takes effect for all files in one step.
        at_once = any(job.replaces for job in jobs)
        done: set[str] = set()
        batch: list[tuple[Job, Loaded]] = []
        committed = time.monotonic()
        workers = Workers(mapping, self._staging, memory_limit=self._memory_limit, threads=self._threads)
        results: list[Loaded | UnreadableFileError] = []

        def tell(read: int = 0) -> None:
            self._tell(jobs, results, read)

        for job, result in workers.run(jobs, on_wait=tell):
            results.append(result)
            if isinstance(result, UnreadableFileError):
                self._remarks.fail_to_read(result, self._landing.named)
            elif self._landing.has_moved(job.file):
                self._remarks.warn([f"{job.file.file} is still being written; it is left for the next load"])
            else:
                batch.append((job, result))
            tell()
            if not at_once and time.monotonic() - committed > COMMIT_SECONDS:
                done |= self._commit(batch)
                batch, committed = [], time.monotonic()
        return done | self._commit(batch)

    def _tell(self, jobs: list[Job], results: list[Loaded | UnreadableFileError], read: int) -> None:
        if self._on_progress:
            finished = sum(job.file.size for job in jobs[: len(results)])
            total = sum(job.file.size for job in jobs)
            self._on_progress(
                Progress(
                    source=self._source.name,
                    files_done=len(results),
                    files_total=len(jobs),
                    bytes_done=min(max(read, finished), total),
                    bytes_total=total,
                    rows=sum(result.rows for result in results if isinstance(result, Loaded)),
                )
            )

    # ------------------------------------------------------------------ commit

    def _commit(self, batch: list[tuple[Job, Loaded]]) -> set[str]:
        """Move finished files into place, then make them visible, all in one step."""
        if not batch:
            return set()
        events = self._root / "events" / f"source={self._source.name}"
        rejects = self._root / "rejects"
        events.mkdir(parents=True, exist_ok=True)
        placed = {}
        for job, _ in batch:
            staged = self._staging / f"{job.load_id}.parquet"
            placed[job.load_id] = (
                self._place(staged, events / staged.name),
                self._place(staged.with_suffix(".rejects"), rejects / staged.name),
            )
        for directory in (events, rejects):
            sync(directory)
        with self._catalog.transaction():
            for job, loaded in batch:
                seq = self._catalog.next_seq()
                parquet_file, rejects_file = placed[job.load_id]
                load = self._entry(job.file, job.load_id, seq, loaded)
                load = replace(load, parquet_file=parquet_file, rejects_file=rejects_file)
                self._catalog.add(load)
                self._catalog.see(job.file)
                self._loads.append(load)
                if job.replaces:
                    self._retire([self._live[load.content_hash]], seq)
                self._live[load.content_hash] = load
                self._retire(self._unheld(), seq)
        for _, loaded in batch:
            self._loaded.append(loaded)
            self._remarks.warn(loaded.warnings)
        return {job.file.file for job, _ in batch}

    def _unheld(self) -> list[Load]:
        """Live loads of which no file holds the content any more.

        A file holds its new content from the moment that this is live, until then its old one. One that has
        gone away still counts, unless it is declared that its rows go with it.
        """
        gone = {name for name in self._known if not self._landing.has(name)}
        if self._source.removed_files == "keep":
            gone = set()
        held = {name: file.content_hash for name, file in self._known.items() if name not in gone}
        held |= {n: file.content_hash for n, file in self._seen.items() if file.content_hash in self._live}
        return [load for content, load in self._live.items() if content not in held.values()]

    def _retire(self, loads: list[Load], seq: int) -> None:
        """Take loads out of the lake, as part of a transaction."""
        for load in loads:
            del self._live[load.content_hash]
            withdrawn = load.file in self._known and not self._landing.has(load.file)
            self._withdrawn += withdrawn
            self._replaced += not withdrawn
            self._catalog.retire(load.load_id, status="withdrawn" if withdrawn else "replaced", seq=seq)

    def _place(self, staged: Path, target: Path) -> str | None:
        if not staged.exists():
            return None
        sync(staged)
        staged.replace(target)
        return target.relative_to(self._root).as_posix()

    def _entry(self, file: File, load_id: str, seq: int, loaded: Loaded | None) -> Load:
        """A catalogue row: of a load, or of a file whose content is loaded already."""
        columns = loaded.columns if loaded else {}
        return Load(
            load_id=load_id,
            load_seq=seq,
            retired_seq=None,
            status="live" if loaded else "duplicate",
            source=self._source.name,
            file=file.file,
            content_hash=file.content_hash,
            mapping_fingerprint=self._fingerprint,
            parquet_file=None,
            rejects_file=None,
            rows=loaded.rows if loaded else 0,
            filtered=loaded.filtered if loaded else 0,
            rejected=loaded.rejected if loaded else 0,
            first_event_ts=loaded.first_event_ts if loaded else None,
            last_event_ts=loaded.last_event_ts if loaded else None,
            schema_columns=json.dumps(columns, ensure_ascii=False),
            schema_changes=json.dumps(self._changes(columns), ensure_ascii=False),
            seconds=loaded.seconds if loaded else 0.0,
            loaded_at=datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds"),
        )

    def _changes(self, columns: dict[str, str]) -> dict[str, object]:
        """How a file's columns differ from those of the load before it."""
        before = next((json.loads(load.schema_columns) for load in reversed(self._loads) if load.rows), None)
        if before is None or not columns:
            return {}
        shared = {name: [before[name], kind] for name, kind in sorted(columns.items()) if name in before}
        changes: dict[str, object] = {
            "new": sorted(set(columns) - set(before)),
            "missing": sorted(set(before) - set(columns)),
            "retyped": {n: kinds for n, kinds in shared.items() if len({*kinds} - {"empty"}) == 2},
        }
        return {kind: names for kind, names in changes.items() if names}

    # ------------------------------------------------------------------ settle

    def _settle(self, done: set[str]) -> LoadReport:
        """Retire what no file holds any more; note files that are copies, and those that went away."""
        settled = {n: file for n, file in self._seen.items() if file.content_hash in self._live}
        changed = [file for name, file in settled.items() if self._known.get(name) != file]
        copies = [file for file in changed if file.file not in done and not self._is_known(file)]
        gone = [name for name in self._known if not self._landing.has(name)]
        unheld = self._unheld()
        if changed or gone or unheld:
            with self._catalog.transaction():
                seq = self._catalog.next_seq()
                self._retire(unheld, seq)
                for number, file in enumerate(copies, start=seq + 1):
                    load_id = id_of(f"{self._source.name}\n{file.file}\n{file.content_hash}\n{number}")
                    self._catalog.add(self._entry(file, load_id, number, None))
                for file in changed:
                    self._catalog.see(file)
                for name in gone:
                    self._catalog.leave(self._source.name, name, forget=self._source.removed_files == "withdraw")
        if self._withdrawn and not self._live:
            self._remarks.warn(
                [
                    f"source {self._source.name}: none of its files is there any more, and all of its rows went with "
                    f"them (removed_files: withdraw); if their disk is not mounted, mount it, and they are loaded anew"
                ]
            )
        self._remarks.warn(
            f"{file.file} has the content of {self._live[file.content_hash].file}, and is not loaded again"
            for file in copies
        )
        firsts = [loaded.first_event_ts for loaded in self._loaded if loaded.first_event_ts]
        lasts = [loaded.last_event_ts for loaded in self._loaded if loaded.last_event_ts]
        return LoadReport(
            source=self._source.name,
            loaded=len(done),
            replaced=self._replaced,
            unchanged=len(settled) - len(done) - len(copies),
            duplicate=len(copies),
            withdrawn=self._withdrawn,
            rows=sum(loaded.rows for loaded in self._loaded),
            filtered=sum(loaded.filtered for loaded in self._loaded),
            rejected=sum(loaded.rejected for loaded in self._loaded),
            first_event_ts=min(firsts, default=None),
            last_event_ts=max(lasts, default=None),
            failed=len(self._remarks.failures),
            warnings=tuple(self._remarks.warnings),
            failures=tuple(self._remarks.failures),
            passing=tuple(self._remarks.passing),
        )

    def _is_known(self, file: File) -> bool:
        """Whether a file was known with the content that it has."""
        return file.file in self._known and self._known[file.file].content_hash == file.content_hash
