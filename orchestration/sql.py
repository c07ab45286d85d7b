"""What is written into SQL: texts, names, and databases beside the one that is open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


def literal(text: str | Path) -> str:
    """A SQL string."""
    escaped = str(text).replace("'", "''")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, mode: str = "read_only", version: str | None = None
) -> Iterator[None]:
    """Have another database file beside the open one, by a name.

    Args:
        connection: The open one.
        path: The file; in mode ``read_write``, it is made when missing.
        name: What its tables are prefixed with.
        mode: ``read_only`` or ``read_write``.
        version: Which storage version a new file gets; by default, that of the open one.

    Raises:
        duckdb.Error: It cannot be read, or is of a newer version.
    """
    stored_as = f", storage_version {literal(version)}" if version else ""
    connection.execute(f"attach {literal(path)} as {name} ({mode}{stored_as})")
    try:
        yield
    finally:
        connection.execute(f"detach {name}")
