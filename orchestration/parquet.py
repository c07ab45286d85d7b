"""The marts as Parquet: each export is a directory of its own, and ``published/parquet`` a link to the newest."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration.disk import sync
from orchestration.sql import literal, quoted

_COMPLETE = ".complete"
_KEPT = 2
"""The newest export, and the one before it: whoever has just listed that one can still read it."""


class ParquetExport:
    """The exports below a directory of publications.

    Args:
        published: The directory; the link and the exports lie on one file system, so swapping is one rename.
    """

    def __init__(self, published: Path) -> None:
        self.link = published / "parquet"
        self.exports = published / ".parquet"

    def holds(self, tables: Sequence[str]) -> bool:
        """Whether the newest export is of the marts that are published, and has all of some tables."""
        return (self.link / _COMPLETE).exists() and all(
            (self.link / table / f"{table}.parquet").exists() for table in tables
        )

    def outdate(self) -> None:
        """Note that the newest export will be of another night than the marts until the next is swapped in."""
        (self.link / _COMPLETE).unlink(missing_ok=True)

    def write(self, connection: duckdb.DuckDBPyConnection, name: str, tables: Sequence[str]) -> Path:
        """Write tables of ``published.marts``, attached, into a new export that nobody reads yet; returns it."""
        draft = self.exports / f".{name}"
        draft.mkdir(parents=True)
        for table in tables:
            (draft / table).mkdir()
            target = draft / table / f"{table}.parquet"
            connection.execute(
                f"copy published.marts.{quoted(table)} to {literal(target)} (format parquet, compression zstd)"
            )
            sync(target)
            sync(draft / table)
        (draft / _COMPLETE).touch()
        sync(draft)
        return draft.replace(self.exports / name)

    def swap(self, draft: Path) -> None:
        """Make an export the newest, all its tables at once."""
        if self.link.is_dir() and not self.link.is_symlink():
            # As earlier versions left it, a directory: a link cannot be renamed over one.
            self.link.replace(self.exports / "before-links")
        new = self.link.with_name(".parquet-link")
        new.unlink(missing_ok=True)
        new.symlink_to(draft.relative_to(self.link.parent), target_is_directory=True)
        new.replace(self.link)
        sync(self.link.parent)
        self.sweep()

    def sweep(self, kept: int = _KEPT) -> None:
        """Remove all exports but so many of the newest, and what a killed run left half written."""
        if not self.exports.exists():
            return
        current = self.link.resolve().name
        others = [path for path in self.exports.iterdir() if path.name != current]
        drafts = [path for path in others if path.name.startswith(".")]
        whole = sorted(set(others) - set(drafts), key=lambda path: path.stat().st_mtime_ns)
        for path in drafts + whole[: max(len(whole) - (kept - 1), 0)]:
            shutil.rmtree(path)
