"""``make verify``: whether the marts, brought up to date night by night, equal ones built anew from the same loads."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration import increments
from orchestration.declarations import DeclarationError
from orchestration.house import open_house
from orchestration.manifest import load_manifest
from orchestration.nights.lock import locked
from orchestration.settings import Settings
from orchestration.sql import attached
from orchestration.terminal import take_no_arguments, terminal
from orchestration.warehouse import PREDICTED, DbtFailed, connect, run_dbt

SCHEMAS = ("marts", "features")
ROOMS = VERIFICATION, RECOMPUTATION = "verification", "recomputation"
"""What the rooms to rebuild in are called."""
_SHOWN = 5


class NotVerifiableError(Exception):
    """The warehouse is not what a night leaves; the message says why, and the cure."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A table whose rows are not those of a full rebuild.

    Attributes:
        table: Schema and name.
        only_stored: How many rows the rebuild does not have.
        only_rebuilt: How many rows only the rebuild has.
        examples: The first of both, as text.
    """

    table: str
    only_stored: int
    only_rebuilt: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.table}: {self.only_stored:,} rows a rebuild does not have, {self.only_rebuilt:,} rows only it has"]
            + [f"  {example}" for example in self.examples]
        )


def verify(settings: Settings, variables: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Difference]:
    """Build everything anew into a scratch warehouse and compare; returns the tables that differ.

    Both see the same loads and the same predictions. The scratch warehouse lies beside the real one, which is opened
    for reading only, and is removed again.

    Args:
        settings: Where the warehouse lives.
        variables: What ``avila.yml`` declares, as dbt reads it.
        manifest: dbt's, of the same variables.

    Raises:
        NotVerifiableError: There is no warehouse yet, another process writes it or has meanwhile, or verifies it, or it
            is not up to date with its loads and definitions.
        DbtFailed: The rebuild failed.
    """
    check_up_to_date(settings, variables, manifest)
    with room_beside(settings, VERIFICATION) as scratch, undisturbed(settings):
        scratch.lake.symlink_to(settings.lake, target_is_directory=True)
        _hand_over(settings, scratch)
        run_dbt(["run"], scratch, variables)
        return compare(settings.warehouse, scratch.warehouse)


def check_exists(settings: Settings) -> None:
    """See that there is a warehouse.

    Raises:
        NotVerifiableError: There is none yet.
    """
    if not settings.warehouse.exists():
        raise NotVerifiableError(f"There is nothing to verify yet: {settings.command('run')} builds it first.")


def check_up_to_date(settings: Settings, variables: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """See that the warehouse is built, as far as it goes, from its loads and by these definitions.

    What is not would differ from a rebuild for no fault of the increments.

    Raises:
        NotVerifiableError: It is not, or cannot be read.
    """
    check_exists(settings)
    run = settings.command("run")
    with _readable(settings), duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        behind = increments.behind(connection, manifest, variables)
    if behind:
        raise NotVerifiableError(
            "The marts are not up to date: avila.yml or Ávila has changed since the last night, or that did not come "
            f"to its end. {run} brings them up to date. Behind are {', '.join(behind[:_SHOWN])}"
            + (f" and {len(behind) - _SHOWN} more." if len(behind) > _SHOWN else ".")
        )


@contextmanager
def _readable(settings: Settings) -> Iterator[None]:
    try:
        yield
    except duckdb.IOException as error:
        raise NotVerifiableError(
            f"{settings.warehouse} cannot be read, most likely because a night is running. Try again when it is done. "
            f"({error})"
        ) from error


@contextmanager
def room_beside(settings: Settings, name: str) -> Iterator[Settings]:
    """An empty data directory beside the warehouse, to rebuild in; it is removed again.

    Raises:
        NotVerifiableError: Another process is at work in it.
    """
    scratch = settings.at(settings.warehouse.parent / name)
    with locked(_lock_of(scratch.root)) as lock:
        if lock is None:
            raise NotVerifiableError(
                f"{settings.root} is being verified already, by another process. Try again when it is done."
            )
        # A process that was killed has left its own.
        shutil.rmtree(scratch.root, ignore_errors=True)
        scratch.root.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch.root, ignore_errors=True)


def clear_rooms(settings: Settings) -> None:
    """Remove what comparisons that were killed have left: each is about as large as the warehouse, and as personal."""
    for name in ROOMS:
        room = settings.warehouse.parent / name
        if room.exists():
            with locked(_lock_of(room)) as lock:
                if lock is not None:
                    shutil.rmtree(room)


def _lock_of(room: Path) -> Path:
    return room.with_name(f".{room.name}.lock")


@contextmanager
def undisturbed(settings: Settings) -> Iterator[None]:
    """A comparison that is worth something only if no night has written the warehouse before its end.

    It takes as long as a full rebuild, and whoever has a night begin meanwhile is not to wait for it.

    Raises:
        NotVerifiableError: One has, or is about to.
    """
    before = _built(settings)
    try:
        with _readable(settings):
            yield
    finally:
        # A rebuild fails, too, where a night has pruned the files that it reads.
        if _built(settings) != before:
            raise NotVerifiableError(
                "A night has brought the marts up to date while they were compared with a rebuild of what was there "
                "before. Try again when no night is due."
            )


def _built(settings: Settings) -> list[tuple[Any, ...]]:
    """Which models the warehouse holds, and when each was built."""
    query = "select model, fingerprint, built_seq, built_at from increments.built_models order by all"
    with _readable(settings), duckdb.connect(str(settings.warehouse), read_only=True) as connection:
        return connection.execute(query).fetchall()


def cure(settings: Settings) -> str:
    """What to do about differences."""
    return f"Remove {settings.warehouse} to have the next night build everything anew, and please report this."


def compare(stored: Path, rebuilt: Path) -> list[Difference]:
    """The tables of two warehouses that differ as sets of rows, of those that the second has.

    Args:
        stored: A warehouse file; it is only read.
        rebuilt: Another one. Its views become tables: a view knows tables by the name of their file, which both share.
    """
    tables = _frozen(rebuilt)
    with duckdb.connect(str(stored), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        with attached(connection, rebuilt, "rebuilt"):
            found = [_difference(connection, name, f"rebuilt.{table}") for name, table in tables.items()]
    return [difference for difference in found if difference is not None]


def _frozen(warehouse: Path) -> dict[str, str]:
    """The tables of a warehouse, and its views as tables: what holds the rows of each, by its name."""
    listed = ", ".join(f"'{schema}'" for schema in SCHEMAS)
    with duckdb.connect(str(warehouse)) as connection:
        tables = connection.execute(
            f"""
            select table_schema, table_name, table_type from information_schema.tables
            where table_schema in ({listed})
            order by all
            """
        ).fetchall()
        connection.execute("create schema views")
        for schema, name, kind in tables:
            if kind == "VIEW":
                connection.execute(f'create table views."{schema}_{name}" as select * from {schema}."{name}"')
    return {
        f'{schema}."{name}"': f'views."{schema}_{name}"' if kind == "VIEW" else f'{schema}."{name}"'
        for schema, name, kind in tables
    }


def _difference(connection: duckdb.DuckDBPyConnection, stored: str, rebuilt: str) -> Difference | None:
    counts, examples = [], []
    for whose, ours, theirs in (("stored", stored, rebuilt), ("rebuilt", rebuilt, stored)):
        rest = f"(select * from {ours} except all select * from {theirs})"
        counts.append(int(connection.execute(f"select count(*) from {rest}").fetchall()[0][0]))
        rows = connection.execute(f"select * from {rest} order by all limit {_SHOWN}")
        names = [column[0] for column in rows.description or ()]
        examples += [
            f"only {whose}: " + ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True))
            for row in rows.fetchall()
        ]
    if not any(counts):
        return None
    table = stored.replace('"', "")
    return Difference(table=table, only_stored=counts[0], only_rebuilt=counts[1], examples=tuple(examples))


def _hand_over(settings: Settings, scratch: Settings) -> None:
    """Give the scratch warehouse what a build reads besides the lake."""
    with connect(scratch) as connection, attached(connection, settings.warehouse, "stored"):
        connection.execute("create table ops.loads as select * from stored.ops.loads")
        for table in PREDICTED:
            connection.execute(f"insert into ml.{table} by name select * from stored.ml.{table}")


def main() -> int:
    """Verify the warehouse of ``AVILA_DATA_DIR`` and say what differs.

    Returns:
        0 when nothing does, 1 when something does, 2 when it could not be found out.
    """
    console, errors = terminal(), terminal(stderr=True)
    try:
        house = open_house()
        check_exists(house.settings)
        variables, manifest = house.declarations.dbt_vars(), load_manifest(house)
        check_up_to_date(house.settings, variables, manifest)
        console.print("Rebuilding everything from the lake beside the warehouse, to compare the two …")
        differences = verify(house.settings, variables, manifest)
    except (DeclarationError, DbtFailed, NotVerifiableError) as error:
        errors.print(str(error), style="red")
        return 2
    for difference in differences:
        console.print(str(difference), style="red")
    if differences:
        errors.print(cure(house.settings))
        return 1
    console.print("Every mart equals a full rebuild, row for row.")
    return 0


if __name__ == "__main__":
    take_no_arguments(__doc__)
    sys.exit(main())
