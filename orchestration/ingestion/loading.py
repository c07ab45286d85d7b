"""One source's files against what the lake holds of them: what is new, changed, copied or gone, and loading it."""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestration.disk import sync
from orchestration.ingestion import shapes
from orchestration.ingestion.catalog import Catalog, File, Load
from orchestration.ingestion.expressions import Reference
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.landing import Landing
from orchestration.ingestion.loader import Loaded, connect
from orchestration.ingestion.mappings import Mapping, MappingError, listed, nearest, shown
from orchestration.ingestion.reports import LoadReport, Progress
from orchestration.ingestion.shapes import Shape
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
        self._warnings: dict[str, None] = {}
        self._failures: dict[str, None] = {}
        self._passing: dict[str, None] = {}
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
        self._warn(self._landing.warnings)
        self._fail(self._landing.failures)
        self._passing.update(dict.fromkeys(self._landing.passing))
        done = self._load(mapping, self._wanted())
        return self._settle(done)

    def close(self) -> None:
        """Free DuckDB's memory."""
        self._connection.close()
        self._landing.close()

    def _warn(self, said: Iterable[str]) -> None:
        self._warnings.update(dict.fromkeys(said))

    def _fail(self, said: Iterable[str]) -> None:
        self._failures.update(dict.fromkeys(said))

    def _fail_to_read(self, error: UnreadableFileError) -> None:
        said = self._landing.named(str(error))
        self._fail([said])
        if error.may_pass:
            self._passing[said] = None

    # -------------------------------------------------------------------- plan

    def _wanted(self) -> dict[str, File]:
        """The first file, by name, of each content that the lake lacks or has under another mapping."""
        holders: dict[str, File] = {}
        for name in sorted(self._seen):
            holders.setdefault(self._seen[name].content_hash, self._seen[name])
        outdated = self._outdated()
        stuck = [load.file for content, load in outdated.items() if content not in holders]
        if stuck and self._source.removed_files == "keep":
            self._warn(
                [
                    f"{len(stuck)} loaded files are gone and keep the mapping they were loaded with (such as "
                    f"{stuck[0]}): put them back to have them loaded anew"
                ]
            )
        lacking = (f for content, f in holders.items() if content not in self._live or content in outdated)
        return {file.file: file for file in lacking}

    def _outdated(self) -> dict[str, Load]:
        """Live loads that were made under another mapping, by content."""
        return {c: load for c, load in self._live.items() if load.mapping_fingerprint != self._fingerprint}

    def _jobs(self, mapping: Mapping, wanted: dict[str, File]) -> list[Job]:
        """Look at the head of each file, and check that the expressions fit it."""
        found: dict[str, Shape] = {}
        self._landing.bring(wanted)
        for name in wanted:
            try:
                shape = shapes.inspect(self._landing.path(name), self._source, mapping.wanted)
                if shape.columns or shape.layout != "csv":
                    mapping.query(shape)
            except UnreadableFileError as error:
                self._fail_to_read(error)
            except MappingError as error:
                self._fail([f"{name}: {error}"])
            else:
                found[name] = shape
        known: set[Reference] = {(name,) for load in self._loads for name in json.loads(load.schema_columns)}
        known |= {(column.name,) for shape in found.values() for column in shape.columns}
        known |= {path for shape in found.values() for path, _ in shape.paths}
        folded = {tuple(map(str.casefold, reference)) for reference in known}
        outdated = self._outdated()
        taken = {load.load_id for load in self._loads}
        return [
            Job(
                path=self._landing.path(name),
                file=wanted[name],
                shape=shape,
                load_id=self._load_id(wanted[name].content_hash, taken),
                replaces=old.load_id if (old := outdated.get(wanted[name].content_hash)) else None,
            )
            for name, shape in found.items()
            if self._fits(mapping, name, shape, folded)
        ]

    def _load_id(self, content: str, taken: set[str]) -> str:
        """A hash of source, content and mapping; numbered when a content comes back after it had gone."""
        base = f"{self._source.name}\n{content}\n{self._fingerprint}"
        ids = (_hash(f"{base}\n{number}" if number else base) for number in itertools.count())
        return next(load_id for load_id in ids if load_id not in taken)

    def _fits(self, mapping: Mapping, file: str, shape: Shape, known: set[Reference]) -> bool:
        """Whether what the expressions read is there, or can be missing from this file.

        A column that other files have may be missing from one; what a preset reads may be missing from all.
        A JSON key may come in later rows, so for it there is but a warning, and only while a mapping is new.
        """
        if not shape.columns:
            return True
        query = mapping.query(shape)
        is_new = all(load.mapping_fingerprint != self._fingerprint for load in self._loads)
        for key, reference in query.missing.items():
            can_be_missing = (
                key in self._source.optional_columns
                or tuple(map(str.casefold, reference)) in known
                or (shape.is_json and not is_new)
            )
            if can_be_missing and not (key in ("event_ts", "event_name") and key in query.blind):
                continue
            names = [column.name for column in shape.columns]
            lacking = f"source {self._source.name}, {shown(key)}: no column {'.'.join(reference)} in"
            known_names = f"{nearest(reference[0], names)}{_unquoted(mapping, key)} Its columns are {listed(names)}"
            if not shape.is_json:
                self._fail([f"{lacking} {file}.{known_names}"])
                return False
            self._warn([f"{lacking} any record looked at.{known_names}"])
        return True

    # -------------------------------------------------------------------- load

    def _load(self, mapping: Mapping, wanted: dict[str, File]) -> set[str]:
        """Load files side by side and commit them in order; returns the names of those that succeeded."""
        jobs = self._jobs(mapping, wanted)
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
                self._fail_to_read(result)
            elif self._landing.has_moved(job.file):
                self._warn([f"{job.file.file} is still being written; it is left for the next load"])
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
            self._warn(loaded.warnings)
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
                    load_id = _hash(f"{self._source.name}\n{file.file}\n{file.content_hash}\n{number}")
                    self._catalog.add(self._entry(file, load_id, number, None))
                for file in changed:
                    self._catalog.see(file)
                for name in gone:
                    self._catalog.leave(self._source.name, name, forget=self._source.removed_files == "withdraw")
        if self._withdrawn and not self._live:
            self._warn(
                [
                    f"source {self._source.name}: none of its files is there any more, and all of its rows went with "
                    f"them (removed_files: withdraw); if their disk is not mounted, mount it, and they are loaded anew"
                ]
            )
        self._warn(
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
            failed=len(self._failures),
            warnings=tuple(self._warnings),
            failures=tuple(self._failures),
            passing=tuple(self._passing),
        )

    def _is_known(self, file: File) -> bool:
        """Whether a file was known with the content that it has."""
        return file.file in self._known and self._known[file.file].content_hash == file.content_hash


def _unquoted(mapping: Mapping, key: str) -> str:
    """A hint where a name that is no column may be a text whose quotes YAML took."""
    expression = mapping.expressions.get(key)
    if expression is None or expression.bare is None or len(expression.bare) > 1:
        return ""
    name = expression.bare[0]
    return f" For the text {name} write \"'{name}'\"."


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
