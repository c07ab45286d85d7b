"""A SQLite file of which a process keeps one connection open, and writes all or nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_broken(error: BaseException | None) -> bool:
    """Whether an error is of a file that is damaged or none of SQLite's; those of locks and full disks are below it."""
    return type(error) is sqlite3.DatabaseError


class SqliteFile:
    """An open file; a second writer waits for a minute.

    Args:
        path: The file; made when missing.
        schema: SQL that makes its tables where they are missing.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        self._connection.execute("pragma synchronous = full")
        self._connection.executescript(schema)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")
