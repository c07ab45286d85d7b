"""The ledger of a warehouse: what came of which rows, so that the same work on the same rows is done once."""

import hashlib
import json
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import duckdb

from orchestration.settings import PROJECT_ROOT


def fingerprint(connection: duckdb.DuckDBPyConnection, relations: Iterable[str], *facts: object) -> str:
    """A hash of all that some work depends on.

    Args:
        connection: The open warehouse.
        relations: Tables or queries in parentheses; of each, the columns and the rows, in whatever order.
        facts: What else decides what comes of it, JSON-ready.
    """
    contents = [
        [connection.execute(f"describe from {relation}").fetchall(), content(connection, relation)]
        for relation in relations
    ]
    return fingerprint_of(contents, facts)


def fingerprint_of(*facts: object) -> str:
    """A hash of facts, JSON-ready."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def content(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    """How many rows a table or a query in parentheses has, and a hash of them, whatever their order."""
    # A sum: an exclusive or would not see a row that stands there twice.
    count, total = connection.execute(f"select count(*), sum(hash(t)) from {relation} as t").fetchall()[0]
    return int(count), str(total)


@cache
def code_of(package: str) -> str:
    """A hash of the code of one of the project's packages and of the versions of all that is installed."""
    digest = hashlib.sha256()
    for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
        digest.update(path.read_bytes())
    for path in sorted(Path(sysconfig.get_path("purelib")).glob("*.dist-info")):
        digest.update(path.name.encode())
    return digest.hexdigest()


def known(connection: duckdb.DuckDBPyConnection, work: str, inputs: str) -> str | None:
    """What came of some work when it was last done, if it was done with these inputs; else None."""
    query = "select outcome from increments.work_done where work = ? and inputs = ?"
    found = connection.execute(query, [work, inputs]).fetchall()
    return found[0][0] if found else None


def note(connection: duckdb.DuckDBPyConnection, work: str, inputs: str, outcome: str) -> None:
    """Note what came of some work, in place of what came of it before."""
    connection.execute("insert or replace into increments.work_done values (?, ?, ?)", [work, inputs, outcome])


def forget(connection: duckdb.DuckDBPyConnection, work: str) -> None:
    """Take it that some work is still to be done."""
    connection.execute("delete from increments.work_done where work = ?", [work])
