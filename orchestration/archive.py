"""A tar that is whole or of no use: its last member lists the others with their hashes."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from orchestration.disk import sync

FORMAT = 1
MANIFEST = ".avila/manifest.json"
"""No dump has such a name: what lies under a dot is not taken for one."""
_BUFFER = 1 << 20

Listed = dict[str, dict[str, Any]]
"""By name, what the list says of a file: ``bytes``, ``sha256``, ``mtime_ns``."""


class BackupFailed(Exception):  # noqa: N818 - reads as what happened
    """Nothing was saved, or nothing was restored; the message says why, and the cure."""


def write(path: Path, parts: Iterable[tuple[str, Path]]) -> Listed:
    """Write an archive of files by their names in it; returns its list.

    Raises:
        OSError: One cannot be read, or the archive not be written.
    """
    listed: Listed = {}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, part in parts:
            listed[name] = _add(tar, name, part)
        text = json.dumps({"format": FORMAT, "files": listed}, indent=1).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    sync(path)
    return listed


def _add(tar: tarfile.TarFile, name: str, path: Path) -> dict[str, Any]:
    """Add a file; returns what the manifest says of it."""
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        member = tarfile.TarInfo(name)
        member.size, member.mtime = stat.st_size, int(stat.st_mtime)
        hashed = _Hashed(file)
        tar.addfile(member, hashed)
    return {"bytes": stat.st_size, "sha256": hashed.digest.hexdigest(), "mtime_ns": stat.st_mtime_ns}


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def extract(path: Path, target: Path) -> Listed:
    """Write an archive's files below a folder; returns its list of them.

    Raises:
        BackupFailed: They are not what the list says.
    """
    hashes: dict[str, str] = {}
    listed = None
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None or not _is_below(member.name):
                    raise BackupFailed(f"{path} is no backup of Ávila: it holds {member.name!r}.")
                if member.name == MANIFEST:
                    listed = json.load(content)
                    continue
                file = target / member.name
                file.parent.mkdir(parents=True, exist_ok=True)
                hashed = _Hashed(content)
                with file.open("wb") as written:
                    shutil.copyfileobj(hashed, written, _BUFFER)
                hashes[member.name] = hashed.digest.hexdigest()
    except (tarfile.TarError, ValueError) as error:
        raise BackupFailed(f"{path} is no backup, or is cut off ({error}); take another.") from error
    if listed is None or listed.get("format") != FORMAT:
        raise BackupFailed(f"{path} has no list of its files as this version writes it: it is cut off, or no backup.")
    files: Listed = listed["files"]
    differing = sorted(name for name in files.keys() | hashes if files.get(name, {}).get("sha256") != hashes.get(name))
    if differing:
        raise BackupFailed(f"{path} is damaged: {differing[0]} is not what was saved. Take another.")
    for name, said in files.items():
        # A dump is known by its time, too; else all would be read again.
        os.utime(target / name, ns=(said["mtime_ns"], said["mtime_ns"]))
    return files


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
