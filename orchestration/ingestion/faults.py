"""Faults that may pass by themselves: a share that does not answer, a file that another process has locked."""

import errno
import re
import sqlite3

import duckdb

PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.EIO,
        errno.ENOLCK,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
    }
)
"""What the operating system says of a network share, or of a lock; not of a disk that is full or a file that is not
there, which stay so."""

LOCKED = re.compile(r"could not set lock|conflicting lock", re.IGNORECASE)
"""How DuckDB, and dbt in its words, say that another process has a file open."""


class UnreadableFileError(Exception):
    """A file of which nothing can be read; the message names the file and the cure.

    Attributes:
        may_pass: Whether it may be readable in a moment, as it is.
    """

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def may_pass(error: BaseException) -> bool:
    """Whether an error may be gone at a new try, with nothing changed."""
    if isinstance(error, UnreadableFileError):
        return error.may_pass
    if isinstance(error, OSError):
        return error.errno in PASSING
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(error, duckdb.IOException) and bool(LOCKED.search(str(error)))
