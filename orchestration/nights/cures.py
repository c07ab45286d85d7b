"""What is to be done about what keeps a run, or the UI, from beginning at all: nobody else is left to say it."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

from orchestration.disk import is_full
from orchestration.settings import Settings
from orchestration.sqlite_file import is_broken

_CLOSED = (errno.EACCES, errno.EPERM)


def cure_of(settings: Settings, error: Exception) -> str | None:
    """What is wrong with the data directory, Dagster's records in it among that, and the cure; None for all else."""
    cause = getattr(error, "orig", error)
    if is_broken(cause):
        schedules = settings.dagster_home / "schedules"
        place = schedules if _is_broken(schedules / "schedules.db") else settings.dagster_home / "history"
        return (
            f"Dagster's history in {place} is broken ({cause}). "
            "Move that directory away and run again: nothing that is published comes from it."
        )
    if is_full(settings.root, error):
        said = str(error).partition("\n")[0]
        return f"The disk of {settings.root} is full ({said}); make room, and the next run heals what this one left."
    if getattr(cause, "errno", None) == errno.EROFS:
        return f"{settings.root} cannot be written ({cause}): mount its disk for writing."
    if getattr(cause, "errno", None) in _CLOSED or _is_closed(cause):
        return (
            f"{settings.root} cannot be written ({cause}). All that is in it has to be the user's who runs the nights: "
            "what a run as another user has left is to be given to them (chown -R)."
        )
    return None


def _is_broken(database: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("pragma quick_check").fetchall() != [("ok",)])
    except sqlite3.Error as error:
        return is_broken(error)


def _is_closed(error: BaseException) -> bool:
    """Whether SQLite may not write a file."""
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))
