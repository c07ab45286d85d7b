"""Several dump files at a time, a core each."""

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from orchestration.ingestion.catalog import File
from orchestration.ingestion.faults import UnreadableFileError
from orchestration.ingestion.loader import Loaded, Loader, connect
from orchestration.ingestion.mappings import Mapping
from orchestration.ingestion.shapes import Shape
from orchestration.ingestion.streams import Stream


@dataclass(frozen=True, kw_only=True)
class Job:
    """A content to load, from one of the files that hold it.

    Attributes:
        shape: How the file is laid out.
        load_id: The load it becomes.
        replaces: The load of the same content that it replaces, made under an earlier mapping.
    """

    path: Path
    file: File
    shape: Shape
    load_id: str
    replaces: str | None = None


class Workers:
    """Loads jobs side by side.

    Args:
        mapping: The source's expressions.
        directory: Where Parquet, rejects, pipes and spilled data go.
        memory_limit: What all share, as DuckDB spells it.
        threads: How many cores to use.
    """

    def __init__(self, mapping: Mapping, directory: Path, *, memory_limit: str, threads: int) -> None:
        self._mapping = mapping
        self._directory = directory
        self._memory_limit = memory_limit
        self._threads = threads
        self._streams: dict[Path, Stream] = {}

    def run(
        self, jobs: Sequence[Job], *, on_wait: Callable[[int], None]
    ) -> Iterator[tuple[Job, Loaded | UnreadableFileError]]:
        """Load every job; results come in the order of the jobs.

        Args:
            jobs: What to load.
            on_wait: Told about once a second how many bytes have been read so far.
        """
        if not jobs:
            return
        count = min(self._threads, len(jobs))
        # The rows of Parquet are numbered by the file itself, so a scan of it can use several cores.
        each = self._threads // count if all(job.shape.layout == "parquet" for job in jobs) else 1
        with ExitStack() as stack:
            idle: queue.SimpleQueue[Loader] = queue.SimpleQueue()
            for _ in range(count):
                connection = stack.enter_context(
                    connect(
                        memory_limit=self._memory_limit,
                        threads=each,
                        spill=self._directory / "spill",
                        share=count,
                    )
                )
                idle.put(Loader(self._mapping, connection, on_stream=self._note))

            def load(job: Job) -> Loaded | UnreadableFileError:
                loader = idle.get()
                try:
                    return loader.load(
                        job.path, job.shape, file=job.file.file, load_id=job.load_id, target=self.target(job)
                    )
                except UnreadableFileError as error:
                    return error
                finally:
                    idle.put(loader)

            pool = stack.enter_context(ThreadPoolExecutor(count, thread_name_prefix="load"))
            futures = [pool.submit(load, job) for job in jobs]
            stack.callback(lambda: [future.cancel() for future in futures])
            for job, future in zip(jobs, futures, strict=True):
                while not _done(future):
                    on_wait(sum(stream.position for stream in self._streams.values()))
                yield job, future.result()

    def target(self, job: Job) -> Path:
        """Where a job's Parquet goes; its rejects go beside it, with the suffix `.rejects`."""
        return self._directory / f"{job.load_id}.parquet"

    def _note(self, stream: Stream) -> None:
        self._streams[stream.path] = stream


def _done(future: Future[Loaded | UnreadableFileError]) -> bool:
    """Whether a future is done, after at most a second."""
    try:
        future.exception(timeout=1.0)
    except NotDoneError:
        return False
    return True
