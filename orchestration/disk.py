"""Files that are there whole or not at all, and outlive a power cut."""

import os
from pathlib import Path


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
