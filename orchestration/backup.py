"""``make backup`` and ``make restore``: what a warehouse cannot build again, in one file.

That is ``avila.yml``, the dumps that lie below the data directory, the lake with its catalogue, the models, the book of
alerts, and the warehouse's own records: ``ops``, scores by week, and what models were trained on. Marts follow from
these; the night after a restore builds and publishes them. Dagster's history of runs is left behind.

The file is a tar, as Parquet is compressed already; one that was cut off or has rotted is not restored.
"""

import argparse
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import duckdb

from orchestration.archive import BackupFailed, extract, write
from orchestration.arrivals import local_dumps
from orchestration.declarations import DeclarationError, Declarations
from orchestration.nights.lock import NightRunning, hold, lock_file
from orchestration.settings import Settings
from orchestration.sql import attached
from orchestration.terminal import terminal
from orchestration.warehouse import OPS_RECORDS, PREDICTED, STORAGE_VERSION, connect

RECORDS = ".avila/records.duckdb"
RECORD_TABLES = (
    *(f"ops.{name}" for name in OPS_RECORDS),
    *(f"ml.{name}" for name in PREDICTED),
    "increments.work_done",
)


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
        BackupFailed: There is no warehouse, or it or `avila.yml` cannot be read.
        NightRunning: Another process writes it.
        OSError: The file cannot be written.
    """
    if not settings.declarations.exists():
        raise BackupFailed(f"There is nothing to save: {settings.declarations} does not exist.")
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"avila-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    with hold(settings, what="make backup"), tempfile.TemporaryDirectory(prefix=".avila-", dir=directory) as scratch:
        draft = Path(scratch) / final.name
        listed = write(draft, _parts(settings, Path(scratch), landing=landing))
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
    with hold(settings, what="make restore"):
        found = [
            name
            for name in _names(settings.root)
            if settings.root / name != lock_file(settings) and left_over not in (settings.root / name).parents
        ]
        if found:
            raise BackupFailed(
                f"{settings.root} is not empty (there is {found[0]}): name another with AVILA_DATA_DIR, or move it "
                "away."
            )
        shutil.rmtree(left_over, ignore_errors=True)
        try:
            listed = extract(path, left_over)
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
        yield RECORDS, _copy_records(settings, scratch / "records.duckdb")
    for folder in (settings.lake / "events", settings.lake / "rejects", settings.models):
        for name in _names(folder):
            if not _is_hidden(name):
                yield (folder.relative_to(settings.root) / name).as_posix(), folder / name
    if landing:
        for name in _dumps(settings):
            yield name, settings.root / name


def _dumps(settings: Settings) -> list[str]:
    """What lies in landing, and the dumps that sources have elsewhere below the data directory, in order.

    Raises:
        BackupFailed: `avila.yml` does not say where they are.
    """
    try:
        sources = Declarations.load(settings.declarations).sources
    except DeclarationError as error:
        raise BackupFailed(f"Which dumps there are is not known:\n{error}") from error
    declared = {path for _, path in local_dumps(sources, settings.root) if path.is_relative_to(settings.root)}
    found = {settings.landing / name for name in _names(settings.landing)} | declared
    built = (settings.declarations, settings.lake, settings.models, settings.warehouse.parent, settings.published)
    names = {path.relative_to(settings.root).as_posix() for path in found if not _is_among(path, built)}
    return sorted(name for name in names if not _is_hidden(name))


def _is_among(path: Path, places: Iterable[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _is_hidden(name: str) -> bool:
    """Whether it is only being written: then its name has a dot before it."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _names(folder: Path) -> list[str]:
    """The files below a folder, relative to it, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _copy_records(settings: Settings, target: Path) -> Path:
    try:
        with duckdb.connect() as connection, attached(connection, settings.warehouse, "warehouse"):
            tables = _tables(connection, "warehouse")
            with attached(connection, target, "records", mode="read_write", version=STORAGE_VERSION):
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


def _bring_back_records(settings: Settings, folder: Path) -> None:
    """Begin a new warehouse with a backup's records."""
    records = folder / RECORDS
    if not records.exists():
        return
    with connect(settings.at(folder)) as connection, attached(connection, records, "records"):
        for table in sorted(_tables(connection, "records") & set(RECORD_TABLES)):
            connection.execute(f"insert into {table} by name from records.{table}")
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
    said, settings = parser.parse_args(), Settings.of_environment()
    console, errors = terminal(), terminal(stderr=True)
    try:
        if said.command == "save":
            done = save(settings, said.to.expanduser().resolve(), landing=not said.without_landing)
            what = "Saved"
        else:
            done = restore(settings, said.file.expanduser().resolve())
            what = "Restored"
    except NightRunning as error:
        errors.print(str(error), style="red")
        return 3
    except (BackupFailed, OSError) as error:
        errors.print(str(error), style="red")
        return 1
    console.print(f"{what} {done.files:,} files, {done.size_bytes / 1e6:,.1f} MB: {done.path}")
    if said.command == "restore":
        console.print(f"{settings.command('run')} builds the marts and publishes them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
