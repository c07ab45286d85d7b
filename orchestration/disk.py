"""Files that are there whole or not at all, and outlive a power cut; and a disk that has no room for them."""

import errno
import os
import shutil
from pathlib import Path

NEARLY_FULL = 16 << 20
"""So few free bytes, and a run may have failed for want of more: SQLite gives room back before its error is heard."""


def is_full(directory: Path, error: BaseException) -> bool:
    """Whether an error is, or may well be, that of a full disk; SQLite at times says no more than `disk I/O error`.

    Args:
        directory: What was written to.
        error: What was raised.
    """
    return getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(directory).free < NEARLY_FULL


def set_aside(path: Path, *, journal: str) -> Path | None:
    """Rename a broken file, if there is one, and its journal; gives where it lies now.

    An earlier one that was set aside gives way, so that they do not pile up.

    Args:
        path: The file.
        journal: What the name of its journal has more.
    """
    aside = path.with_suffix(".broken")
    # The journal first: without its file it is never read, but a new file would take it for its own.
    if (beside := Path(f"{path}{journal}")).exists():
        beside.replace(f"{aside}{journal}")
    return path.replace(aside) if path.exists() else None


def put(path: Path, content: str | bytes) -> None:
    """Write a file in place of what is there, by a rename: whoever reads meets the one or the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".new-{path.name}")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(path)


def sync(path: Path) -> None:
    """Have what a file or a directory holds on the disk before anything is said of it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
