"""SQL of alerts: checked when `avila.yml` is read, run where it can read the published marts and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import duckdb

SECONDS = 60.0
"""How long a query may take."""
ROWS = 1000
LOCKED_UP: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
}


class QueryFailed(Exception):  # noqa: N818 - reads as what happened
    """A query over the marts has no answer; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows for which a condition was asked.

    Attributes:
        columns: Their names, without that of the condition.
        rows: At most `ROWS` of them.
        held: For each row, whether the condition holds; where it is unknown, it does not.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    held: tuple[bool, ...]


def checked_query(sql: str) -> str:
    """Check that a text is one query.

    Raises:
        ValueError: It is none, or several.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise ValueError(f"is no SQL: {str(error).splitlines()[0]}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError("expected one query, a `select`")
    return sql.strip().rstrip(";")


def checked_condition(sql: str) -> str:
    """Check that a text is one condition.

    Raises:
        ValueError: It is none.
    """
    try:
        statements = duckdb.extract_statements(f"select 1 where (\n{sql}\n)")
    except duckdb.Error as error:
        raise ValueError(f"is no condition: {str(error).splitlines()[0]}") from None
    if not sql.strip() or len(statements) != 1:
        raise ValueError("expected one condition, such as `conversion < 0.02`")
    return sql


@contextmanager
def published_marts(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file, for reading alone, from a place where SQL reaches nothing else."""
    with duckdb.connect(str(path), read_only=True, config=LOCKED_UP) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("use marts.marts")
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, sql: str, condition: str, *, by_day: bool = False) -> Answer:
    """Run a query and ask a condition of each of its rows; with days, of those with the latest days.

    Raises:
        QueryFailed: It has no answer within the time, or no column `day` where one is wanted.
    """
    timer = Timer(SECONDS, connection.interrupt)
    timer.start()
    try:
        order = "order by cast(day as date) desc" if by_day else ""
        found = connection.execute(
            f"select coalesce(cast((\n{condition}\n) as boolean), false) as held, * "
            f"from (\n{sql}\n) as answer {order} limit {ROWS}"
        )
        columns = tuple(column[0] for column in found.description or ())[1:]
        rows = found.fetchall()
    except duckdb.InterruptException:
        raise QueryFailed(f"it took over {SECONDS:.0f} s and was stopped") from None
    except duckdb.Error as error:
        raise QueryFailed(str(error).splitlines()[0]) from None
    finally:
        timer.cancel()
    return Answer(columns=columns, rows=tuple(row[1:] for row in rows), held=tuple(row[0] for row in rows))
