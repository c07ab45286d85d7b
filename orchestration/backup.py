"""``make backup`` and ``make restore``: what a warehouse cannot build again, in one file.

That is ``avila.yml``, the dumps that lie below the data directory, the lake with its catalogue, the models, the book of
alerts, and the warehouse's own records: ``ops``, scores by week, and what models were trained on. Marts follow from
these; the night after a restore builds and publishes them. Dagster's history of runs is left behind.

The file is a tar, as Parquet is compressed already. Its last member lists the others with their hashes, so one that was
cut off or has rotted is not restored.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

import duckdb
from rich.console import Console

from orchestration.nights.lock import NightRunning, hold, lock_file
from orchestration.settings import Settings
from orchestration.warehouse import MODELS, connect

FORMAT = 1
MANIFEST = "manifest.json"
RECORDS = "records.duckdb"
RECORD_TABLES = (
    *(f"ops.{name}" for name in ("runs", "restatements", "model_versions", "publications")),
    *(f"ml.{model}_{what}" for model in MODELS for what in ("predictions", "score_history")),
    "increments.work_done",
)
_BUFFER = 1 << 20


class BackupFailed(Exception):  # noqa: N818 - reads as what happened
    """Nothing was saved, or nothing was restored; the message says why, and the cure."""


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A file that was written or read.

    Attributes:
        path: Where it lies.
        files: How many files are in it.
        size_bytes: How large they are together.
    """

    path: Path
    files: int
    size_bytes: int


def save(settings: Settings, directory: Path, *, landing: bool = True) -> Backup:
    """Write a new file into a directory, whole or not at all.

    Args:
        settings: Where the warehouse lives.
        directory: Made when missing.
        landing: Whether to take the dumps below the data directory. Without them, the next night has the lake all the
            same, but cannot load them anew when a mapping changes, and a source with ``removed_files: withdraw`` takes
            its rows back.

    Raises:
        BackupFailed: There is no warehouse, or it cannot be read.
        NightRunning: Another process writes it.
        OSError: The file cannot be written.
    """
    if not settings.declarations.exists():
        raise BackupFailed(f"There is nothing to save: {settings.declarations} does not exist.")
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"avila-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    listed: dict[str, dict[str, Any]] = {}
    with hold(settings, what="make backup"), tempfile.TemporaryDirectory(prefix=".avila-", dir=directory) as scratch:
        draft = Path(scratch) / final.name
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in _parts(settings, Path(scratch), landing=landing):
                listed[name] = _add(tar, name, path)
            text = json.dumps({"format": FORMAT, "files": listed}, indent=1).encode()
            member = tarfile.TarInfo(MANIFEST)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(final)
    return Backup(path=final, files=len(listed), size_bytes=sum(said["bytes"] for said in listed.values()))


def restore(settings: Settings, path: Path) -> Backup:
    """Fill an empty data directory from a file, once all of it has been read and found to be whole.

    Raises:
        BackupFailed: The directory is not empty, or the file is no backup, or not a whole one.
        NightRunning: Another process writes there.
        OSError: It cannot be read, or the directory not be written.
    """
    left_over = settings.root / ".restoring"
    found = [
        name
        for name in _names(settings.root)
        if settings.root / name != lock_file(settings) and left_over not in (settings.root / name).parents
    ]
    if found:
        raise BackupFailed(
            f"{settings.root} is not empty (there is {found[0]}): name another with AVILA_DATA_DIR, or move it away."
        )
    with hold(settings, what="make restore"):
        shutil.rmtree(left_over, ignore_errors=True)
        try:
            listed = _extract(path, left_over)
            _bring_back_records(settings, left_over)
            # Without avila.yml no night runs: it is the last to come.
            names = [name for name in _names(left_over) if name != "avila.yml"]
            for name in [*names, *(["avila.yml"] if (left_over / "avila.yml").exists() else [])]:
                (settings.root / name).parent.mkdir(parents=True, exist_ok=True)
                (left_over / name).replace(settings.root / name)
        finally:
            shutil.rmtree(left_over, ignore_errors=True)
    return Backup(path=path, files=len(listed), size_bytes=sum(said["bytes"] for said in listed.values()))


def _parts(settings: Settings, scratch: Path, *, landing: bool) -> Iterator[tuple[str, Path]]:
    """(name, file) of all that is saved; what is open elsewhere is copied first, as its own engine copies it."""
    yield "avila.yml", settings.declarations
    catalog = settings.lake / "catalog.sqlite"
    for database in (catalog, settings.alerts):
        if database.exists():
            copy = scratch / database.name
            read = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=60)
            with closing(read) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            yield database.relative_to(settings.root).as_posix(), copy
    if settings.warehouse.exists():
        yield RECORDS, _copy_records(settings, scratch / RECORDS)
    folders = [settings.lake / "events", settings.lake / "rejects", settings.models]
    for folder in [*folders, *([settings.landing] if landing else [])]:
        for name in _names(folder):
            # What is being written has a name with a dot before it.
            if not any(part.startswith(".") for part in Path(name).parts):
                yield (folder.relative_to(settings.root) / name).as_posix(), folder / name


def _names(folder: Path) -> list[str]:
    """The files below a folder, relative to it, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _copy_records(settings: Settings, target: Path) -> Path:
    try:
        with duckdb.connect() as connection:
            connection.execute(f"attach '{settings.warehouse}' as warehouse (read_only)")
            connection.execute(f"attach '{target}' as records")
            tables = _tables(connection, "warehouse")
            for table in RECORD_TABLES:
                if table in tables:
                    connection.execute(f"create schema if not exists records.{table.partition('.')[0]}")
                    connection.execute(f"create table records.{table} as from warehouse.{table}")
    except duckdb.Error as error:
        raise BackupFailed(
            f"{settings.warehouse} cannot be read ({str(error).splitlines()[0]}); {settings.command('run')} mends it."
        ) from error
    return target


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> set[str]:
    query = "select schema_name || '.' || table_name from duckdb_tables() where database_name = ?"
    return {name for (name,) in connection.execute(query, [database]).fetchall()}


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


def _extract(path: Path, target: Path) -> dict[str, dict[str, Any]]:
    """Write a backup's files below a folder; returns its list of them.

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
    files: dict[str, dict[str, Any]] = listed["files"]
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


def _bring_back_records(settings: Settings, folder: Path) -> None:
    """Begin a new warehouse with a backup's records."""
    records = folder / RECORDS
    if not records.exists():
        return
    scratch = Settings(**{**settings.model_dump(), "data_dir": folder})
    with connect(scratch) as connection:
        connection.execute(f"attach '{records}' as records (read_only)")
        for table in sorted(_tables(connection, "records") & set(RECORD_TABLES)):
            connection.execute(f"insert into {table} by name from records.{table}")
        connection.execute("detach records")
    records.unlink()


def main() -> int:
    """Save or restore.

    Returns:
        0 when it was done, 1 when it could not be, 3 when another process writes the warehouse.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestration.backup", description="Save or restore a warehouse.")
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save", help="write a new file into a directory")
    saving.add_argument("to", type=Path)
    saving.add_argument("--without-landing", action="store_true", help="leave out the dumps")
    commands.add_parser("restore", help="fill an empty data directory").add_argument("file", type=Path)
    said, settings = parser.parse_args(), Settings()
    console, errors = Console(), Console(stderr=True)
    try:
        if said.command == "save":
            done = save(settings, said.to.expanduser().resolve(), landing=not said.without_landing)
            what = "Saved"
        else:
            done = restore(settings, said.file.expanduser().resolve())
            what = "Restored"
    except NightRunning as error:
        errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 3
    except (BackupFailed, OSError) as error:
        errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 1
    console.print(f"{what} {done.files:,} files, {done.size_bytes / 1e6:,.1f} MB: {done.path}", soft_wrap=True)
    if said.command == "restore":
        console.print(f"{settings.command('run')} builds the marts and publishes them.", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
