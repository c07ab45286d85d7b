"""Where a source's dumps lie: which files there are, and whether they are the ones seen before."""

import glob
import hashlib
import itertools
from pathlib import Path

from orchestration.ingestion.bucket import SCHEME, Bucket
from orchestration.ingestion.catalog import File
from orchestration.ingestion.faults import may_pass
from orchestration.ingestion.matching import matches
from orchestration.ingestion.object_store import BucketError
from orchestration.ingestion.sources import Source


class Landing:
    """The files that a source's paths match.

    Args:
        source: The source.
        data_dir: What relative paths are relative to.
        staging: Where copies of what lies elsewhere go.
        memory_limit: DuckDB's, as DuckDB spells it.

    Attributes:
        warnings: What was left out, and why.
        failures: What cannot be read, and the cure.
        passing: Those of the failures that a new try may find gone.
    """

    def __init__(self, source: Source, data_dir: Path, *, staging: Path, memory_limit: str) -> None:
        self._source = source
        self._data_dir = data_dir
        self._paths: dict[str, Path] = {}
        self._bucket = Bucket(source.name, staging / "objects", memory_limit=memory_limit)
        self._is_blind = False
        self._lost: list[str] = []
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.passing: list[str] = []
        for pattern in source.path:
            self._find(pattern)
        if not self._paths and not self._bucket and not self.failures:
            looked = dict.fromkeys(self._looked_in(pattern) for pattern in source.path if "://" not in pattern)
            where = f"; looked in {' and '.join(looked)}" if looked else ""
            self.warnings.append(f"source {source.name}: no file matches {', '.join(source.path)}{where}")

    def _fail(self, said: str, error: Exception) -> None:
        self.failures.append(said)
        if may_pass(error):
            self.passing.append(said)

    def _directory(self, pattern: str) -> Path:
        """The directory that a pattern's files would be in, or above."""
        parts = (self._data_dir / Path(pattern).expanduser()).parts
        plain = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
        return plain.parent if len(plain.parts) == len(parts) else plain

    def _looked_in(self, pattern: str) -> str:
        directory = self._directory(pattern)
        return str(directory) if directory.is_dir() else f"{directory}, which does not exist"

    def _find(self, pattern: str) -> None:
        if pattern.startswith(SCHEME):
            try:
                self._bucket.find(pattern)
            except BucketError as error:
                self._is_blind = True
                self._fail(f"source {self._source.name}: {error}", error)
            return
        if "://" in pattern:
            self.failures.append(
                f"source {self._source.name}: {pattern} is neither on a local disk nor in an s3:// bucket; copy its "
                f"files into the landing directory, or mount it"
            )
            return
        for path in matches(self._data_dir / Path(pattern).expanduser(), self._lose):
            try:
                is_directory, is_file = path.is_dir(), path.is_file()
            except OSError as error:
                self._lost.append(self._name(path))
                self._fail(f"{path}: cannot be read ({error.strerror}); check that it may be", error)
                continue
            if is_directory:
                if "**" not in pattern:
                    inside = f"{pattern.rstrip('/')}/*"
                    self.warnings.append(f"{path} is a directory, not a dump; to read its files, write {inside}")
            elif is_file:
                self._paths[self._name(path)] = path
            else:
                self.warnings.append(f"{path} is no regular file; left out")

    def _lose(self, path: Path, error: OSError) -> None:
        if self._name(path) in self._lost:
            return
        self._lost.append(self._name(path))
        said = f"{path} cannot be listed ({error.strerror}); check that its disk is there and that it may be read"
        self._fail(f"source {self._source.name}: {said}", error)

    def _name(self, path: Path) -> str:
        """How the lake calls a file: relative to the data directory where it lies inside."""
        return (path.relative_to(self._data_dir) if path.is_relative_to(self._data_dir) else path).as_posix()

    def has(self, name: str) -> bool:
        """Whether there is such a file. What could not be listed counts as there."""
        is_lost = any(Path(name).is_relative_to(directory) for directory in self._lost)
        return name in self._paths or name in self._bucket or is_lost or (self._is_blind and name.startswith(SCHEME))

    def bring(self, files: dict[str, File]) -> None:
        """Have files at hand, so that `path` knows them."""
        self._bucket.bring(files)

    def path(self, name: str) -> Path:
        """Where a file lies.

        Raises:
            UnreadableFileError: It could not be fetched.
        """
        return self._paths[name] if name in self._paths else self._bucket.path(name)

    def named(self, message: str) -> str:
        """A message in which copies are called by the names of what they are copies of."""
        return self._bucket.named(message)

    def close(self) -> None:
        """Let go of what holds memory."""
        self._bucket.close()

    def look(self, known: dict[str, File]) -> dict[str, File]:
        """Every file as it is now.

        Args:
            known: The files as last seen. One whose size and times are still the same is not read again.
        """
        seen = self._bucket.look(known)
        self.warnings += self._bucket.warnings
        self.failures += self._bucket.failures
        self.passing += self._bucket.passing
        for name, path in sorted(self._paths.items()):
            try:
                file = self._see(name, path, known.get(name))
            except OSError as error:
                self._fail(f"{path}: cannot be read ({error.strerror}); check that it may be", error)
                continue
            if self.has_moved(file):
                self.warnings.append(f"{name} is still being written; it is left for the next load")
            else:
                seen[name] = file
        return seen

    def _see(self, name: str, path: Path, old: File | None) -> File:
        stat = path.stat()
        times = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if old and (old.size, old.mtime_ns, old.ctime_ns) == times:
            content = old.content_hash
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            digest.update(self._partition(path).encode())
            content = digest.hexdigest()
        return File(
            source=self._source.name,
            file=name,
            content_hash=content,
            size=times[0],
            mtime_ns=times[1],
            ctime_ns=times[2],
            present=True,
        )

    def _partition(self, path: Path) -> str:
        """What DuckDB reads of a Parquet file's folders, such as `dt=2025-03-01`: columns that are not in the file."""
        try:
            is_parquet = self._source.format_of(path.name) == "parquet"
        except ValueError:
            return ""
        return "/".join(part for part in path.parent.parts if "=" in part) if is_parquet else ""

    def has_moved(self, file: File) -> bool:
        """Whether a file is no longer as it was when it was looked at: someone is still writing it."""
        if file.file in self._bucket:
            return self._bucket.has_moved(file)
        try:
            stat = self._paths[file.file].stat()
        except OSError:
            return True
        return (stat.st_size, stat.st_mtime_ns) != (file.size, file.mtime_ns)
