"""Dumps that have landed and were not loaded yet, and when they have come to rest."""

import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG

from orchestration.ingestion.matching import matches
from orchestration.ingestion.sources import Source

QUIET_SECONDS = 60.0
"""How long nothing more may land before a run begins: dumps mostly come several at a time."""


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """What a look has left to be remembered for the next.

    Attributes:
        seen: A hash of the dumps that were new at the last look.
        since: When they were first seen so, in seconds of the epoch.
        taken: The hash for which a run was begun last: a dump that cannot be loaded is tried again when it changes.
    """

    seen: str = ""
    since: float = 0.0
    taken: str = ""

    @classmethod
    def from_json(cls, text: str | None) -> "Arrivals":
        """As `to_json` wrote it; none at first."""
        return cls(**json.loads(text)) if text else cls()

    def to_json(self) -> str:
        """For a sensor's cursor."""
        return json.dumps(asdict(self))

    def look(self, new: Iterable[tuple[str, int, int]], *, now: float) -> tuple["Arrivals", bool]:
        """Look again; gives what is to be remembered, and whether a run should begin."""
        files = sorted(new)
        seen = hashlib.sha256(json.dumps(files).encode()).hexdigest() if files else ""
        since = self.since if seen == self.seen else now
        begins = bool(seen) and seen != self.taken and now - since >= QUIET_SECONDS
        return Arrivals(seen=seen, since=since, taken=seen if begins else self.taken), begins


def new_dumps(sources: Mapping[str, Source], root: Path, catalog: Path) -> list[tuple[str, int, int]]:
    """(path, bytes, time of change in ns) of all dumps on local disks that the lake does not know as they are.

    Args:
        sources: By name.
        root: What relative paths are relative to.
        catalog: The lake's.
    """
    known = set()
    if catalog.exists():
        with closing(sqlite3.connect(f"{catalog.as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            known = set(connection.execute("select source, file, size, mtime_ns from files").fetchall())
    return [
        (str(path), stat.st_size, stat.st_mtime_ns)
        for (name, path), stat in local_dumps(sources, root).items()
        if (name, _name(path, root), stat.st_size, stat.st_mtime_ns) not in known
    ]


def local_dumps(sources: Mapping[str, Source], root: Path) -> dict[tuple[str, Path], os.stat_result]:
    """All dumps on local disks, by source and path.

    Args:
        sources: By name.
        root: What relative paths are relative to.
    """
    patterns = ((name, pattern) for name, source in sources.items() for pattern in source.path if "://" not in pattern)
    found = itertools.chain.from_iterable(
        ((name, path) for path in matches(root / Path(pattern).expanduser(), _leave)) for name, pattern in patterns
    )
    return {(name, path): stat for name, path in found if (stat := _stat(path)) and S_ISREG(stat.st_mode)}


def _stat(path: Path) -> os.stat_result | None:
    """A file's, or nothing where it has gone since it was listed."""
    try:
        return path.stat()
    except OSError:
        return None


def _leave(path: Path, error: OSError) -> None:
    """Say nothing of what cannot be looked at: the next load does."""


def _name(path: Path, root: Path) -> str:
    """As the lake calls a file: relative to the data directory where it lies inside."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
