"""Dumps in S3 buckets: which objects there are, and a local copy of each that is new, through DuckDB's httpfs."""

import hashlib
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from orchestration.ingestion.catalog import File
from orchestration.ingestion.object_store import (
    BucketError,
    ChangedObjectError,
    keys_of,
    largest_object,
    meaning,
    no_room,
    open_store,
)
from orchestration.sql import literal

SCHEME = "s3://"

_AT_ONCE = 8
_SMALL = 8 << 20
"""Objects up to this many bytes are fetched several at a time: the way there and back takes longer than they do."""

_SETTLED_NS = 60 * 10**9
"""S3 tells times in seconds: what was fetched so soon after its last change may have changed again unseen. So it is
fetched once more by the next load. A minute bears clocks that differ."""


@dataclass(frozen=True, kw_only=True)
class Object:
    """An object as the bucket describes it. The time is that of its last change, in whole seconds at worst."""

    name: str
    size: int
    mtime_ns: int


class Bucket:
    """The objects that a source's `s3://` patterns match, in one bucket or several.

    Args:
        source: The source's name.
        directory: Where copies go. Whoever made it deletes it.
        memory_limit: DuckDB's, as DuckDB spells it. An object passes through memory in one piece, so one of
            more than half of it is refused.

    Attributes:
        warnings: What was left out, and why.
        failures: What cannot be fetched, and the cure.
        passing: Those of the failures that a new try may find gone.
    """

    def __init__(self, source: str, directory: Path, *, memory_limit: str) -> None:
        self._source = source
        self._directory = directory
        self._memory_limit = memory_limit
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._keys: duckdb.DuckDBPyConnection | None = None
        self._limit = 0
        self._objects: dict[str, Object] = {}
        self._copies: dict[str, Path] = {}
        self._lost: dict[str, BucketError] = {}
        self.warnings: list[str] = []
        self.failures: list[str] = []
        self.passing: list[str] = []

    def close(self) -> None:
        """Free DuckDB's memory."""
        if self._connection:
            self._connection.close()

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    # -------------------------------------------------------------------- list

    def find(self, pattern: str) -> None:
        """Add the objects that a pattern matches: `*` and `[…]` within a level, `**` across levels.

        Raises:
            BucketError: They cannot be listed.
        """
        # What follows a question mark would be read as settings, and may be a secret.
        shown, _, rest = pattern.partition("?")
        if rest or pattern.endswith("?"):
            raise BucketError(
                f"{shown}: a `?` cannot be matched in a bucket, nor settings be given after it; write `*` or `[…]`, "
                f"and settings as environment variables such as AWS_REGION"
            )
        bucket, _, key = pattern.removeprefix(SCHEME).partition("/")
        if not key or not re.fullmatch(r"[A-Za-z0-9._-]+", bucket):
            raise BucketError(f"{pattern}: names no bucket and objects in it; write s3://bucket/prefix/*.jsonl.gz")
        connection, keys = self._connect(pattern)
        try:
            # A key on its own needs no right to list the bucket.
            found = self._listed(connection, keys, pattern) if re.search(r"[*\[]", key) else _described(keys, [pattern])
            objects = [Object(name=name, size=size, mtime_ns=1000 * micros) for name, size, micros in found if micros]
        except duckdb.Error as error:
            raise meaning(pattern, error) from None
        if len(objects) < len(found):
            raise BucketError(f"{pattern}: the endpoint gives no times of last change; mount the bucket instead")
        for one in objects:
            if not one.name.endswith("/"):  # what some tools make of a directory
                self._objects.setdefault(one.name, one)

    def _listed(
        self, connection: duckdb.DuckDBPyConnection, keys: duckdb.DuckDBPyConnection, pattern: str
    ) -> list[tuple[str, int, int]]:
        """What a pattern matches, as one request for a thousand objects tells."""
        try:
            return _described(connection, pattern)
        except duckdb.HTTPException:
            raise
        except duckdb.IOException as error:
            if "query parameters" not in str(error):
                raise
            # A key with a `?` is listed, but not taken for a key when it is looked at.
            names = connection.execute(f"select file from glob({literal(pattern)})").fetchall()
            return _described(keys, [name for (name,) in names])

    def _connect(self, pattern: str) -> tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]:
        """Two connections to one DuckDB: one that reads names as patterns, one as they are."""
        if self._connection is None:
            self._connection = open_store(pattern, memory_limit=self._memory_limit)
        if self._keys is None:
            self._keys, self._limit = keys_of(self._connection), largest_object(self._connection)
        return self._connection, self._keys

    # ------------------------------------------------------------------- fetch

    def look(self, known: dict[str, File]) -> dict[str, File]:
        """Every object as it is now.

        Args:
            known: The objects as last seen. One whose size and time are still the same is not fetched again.
        """
        seen, new = {}, []
        for name, now in self._objects.items():
            old = known.get(name)
            if old and (old.size, old.mtime_ns) == (now.size, now.mtime_ns) and _is_settled(old):
                seen[name] = replace(old, present=True)
            else:
                new.append(name)
        seen |= self._fetch(new)
        for lost in self._lost.values():
            (self.warnings if isinstance(lost, ChangedObjectError) else self.failures).append(str(lost))
            if lost.may_pass:
                self.passing.append(str(lost))
        return seen

    def bring(self, files: dict[str, File]) -> None:
        """Have copies of objects, by name, that may have been seen by an earlier load only."""
        lacking = [name for name in files if name in self and name not in self._copies]
        for name, file in self._fetch(lacking).items():
            if file.content_hash != files[name].content_hash:
                del self._copies[name]
                self._lost[name] = ChangedObjectError(name)

    def path(self, name: str) -> Path:
        """Where an object's copy lies.

        Raises:
            BucketError: It could not be fetched.
        """
        if name in self._copies:
            return self._copies[name]
        raise self._lost[name]

    def named(self, message: str) -> str:
        """A message in which copies are called by the names of their objects."""
        for name, path in self._copies.items():
            message = message.replace(str(path), name)
        return message

    def has_moved(self, file: File) -> bool:
        """Whether an object is no longer as it was when it was listed."""
        assert self._keys
        try:
            ((_, size, micros),) = _described(self._keys, [file.file])
        except duckdb.Error:
            return True
        # A listing may tell the time more finely than the object's own description.
        return size != file.size or abs(1000 * micros - file.mtime_ns) >= 10**9

    def _fetch(self, names: Sequence[str]) -> dict[str, File]:
        """Copy objects, and say what was seen of those that could be had."""
        fetched = {}
        wanted = [self._objects[name] for name in names]
        small = [one for one in wanted if one.size <= _SMALL]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            futures = {one.name: pool.submit(self._copy, one) for one in small}
            try:
                for one in sorted(wanted, key=lambda one: one.size):
                    try:
                        future = futures.get(one.name)
                        fetched[one.name] = future.result() if future else self._copy(one)
                    except BucketError as error:
                        self._lost[one.name] = error
            finally:
                pool.shutdown(cancel_futures=True)
        return fetched

    def _copy(self, wanted: Object) -> File:
        name = wanted.name
        if wanted.size > self._limit:
            raise BucketError(
                f"{name}: its {wanted.size / 1e6:,.1f} MB are more than the {self._limit / 1e6:,.1f} MB that can be "
                f"fetched, which is half of AVILA_MEMORY_LIMIT and at most 4 GB; split it, raise the limit, or mount "
                f"the bucket and give its path"
            )
        started = time.time_ns()
        # A directory of its own, so that the copy keeps the object's name, whose suffixes tell the format.
        directory = self._directory / hashlib.sha256(name.encode()).hexdigest()[:32]
        last = name.rpartition("/")[2][-60:]
        path = directory / (last if last.strip(".") else "object")
        query = f"select content from read_blob({literal(name)})"
        assert self._connection
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with keys_of(self._connection) as keys:
                keys.execute(f"copy ({query}) to {literal(path)} (format blob, compression none)")
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except duckdb.Error as error:
            raise meaning(name, error) from None
        except OSError:
            raise no_room(name) from None
        if size != wanted.size:
            raise ChangedObjectError(name)
        self._copies[name] = path
        return File(
            source=self._source,
            file=name,
            content_hash=content,
            size=wanted.size,
            mtime_ns=wanted.mtime_ns,
            ctime_ns=started,
            present=True,
        )


def _described(connection: duckdb.DuckDBPyConnection, names: str | list[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of last change, in microseconds, of what a pattern matches or of each of some names."""
    listed = literal(names) if isinstance(names, str) else f"[{', '.join(map(literal, names))}]"
    return connection.execute(f"select filename, size, epoch_us(last_modified) from read_blob({listed})").fetchall()


def _is_settled(file: File) -> bool:
    """Whether a file was fetched long enough after its last change for the next one to have another time."""
    return file.ctime_ns - file.mtime_ns > _SETTLED_NS
