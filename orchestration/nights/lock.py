"""One night at a time: who writes a warehouse holds its lock, and the lock says who that is."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from orchestration.settings import Settings

_held: set[Path] = set()
"""The locks of this process: a night takes its lock once for itself and once for the run that Dagster makes of it."""


class NightRunning(Exception):  # noqa: N818 - reads as what happened
    """Another process writes the warehouse; the message says which, and since when."""


def lock_file(settings: Settings) -> Path:
    """The file whose lock is held; it stays when the night is over."""
    return settings.warehouse.parent / ".night.lock"


@contextmanager
def hold(settings: Settings, *, what: str) -> Iterator[None]:
    """Be the only writer of a warehouse. A process that dies, however it does, holds nothing any more.

    Args:
        settings: Where the warehouse lives.
        what: What is done meanwhile, in a word or two, for whoever comes second.

    Raises:
        NightRunning: Another process holds it.
    """
    path = lock_file(settings)
    if path in _held:
        yield
        return
    with locked(path) as lock:
        if lock is None:
            raise NightRunning(_refusal(settings, path))
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "since": since, "what": what}))
        lock.flush()
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            lock.truncate(0)


@contextmanager
def locked(path: Path) -> Iterator[TextIO | None]:
    """Hold the lock of a file, which is made when missing and stays; gives it, or None where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        is_mine = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_mine = False
        yield lock if is_mine else None


def _refusal(settings: Settings, path: Path) -> str:
    # Read after the lock was refused: its holder may be a moment short of having signed it.
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {holder['pid']}, {holder['what']}, since {holder['since']}"
    except (ValueError, KeyError):
        who = "a process that has only just begun"
    return (
        f"{settings.root} is being written already: {who}. "
        "Wait until it is done; if it hangs, stop that process, and the next night heals what it left."
    )
