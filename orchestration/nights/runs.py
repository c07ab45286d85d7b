"""The warehouse's own record of its nights: ``ops.runs``.

A row for each run, whose step is null, and one for each of its steps. dbt's models and tests are steps as well: parts
of the step that they were built in.
"""

from collections.abc import Iterable
from datetime import datetime

import duckdb

from orchestration.nights.stopwatch import Measured

_COLUMNS = ("part_of", "started_at", "finished_at", "status", "seconds", "cpu_seconds", "peak_memory_bytes", "rows")

_IS_PUBLISHED = "run_id in (select run_id from ops.publications)"
"""A run is called published before it is, as the published file is to have that; killed or failed on the way, it is
not."""


def start_run(connection: duckdb.DuckDBPyConnection, *, run_id: str, started_at: datetime) -> None:
    """Note that a run has begun; one that never came to its end before, or to its publication, is noted as failed.

    Args:
        connection: The open warehouse.
        run_id: The run.
        started_at: When it began, UTC without zone.
    """
    connection.execute(
        f"""
        update ops.runs set status = 'failed'
        where step is null and run_id != ? and (status = 'running' or (status = 'published' and not {_IS_PUBLISHED}))
        """,
        [run_id],
    )
    connection.execute("delete from ops.runs where run_id = ?", [run_id])
    connection.execute(
        "insert into ops.runs (run_id, started_at, status) values (?, ?, 'running')", [run_id, started_at]
    )


def finish_run(connection: duckdb.DuckDBPyConnection, *, run_id: str, finished_at: datetime, status: str) -> None:
    """Note how a run came out: ``published``, ``blocked``, ``failed``, or ``done`` where it was not to publish."""
    connection.execute(
        """
        update ops.runs
        set
            finished_at = ?,
            -- A clock that was set back meanwhile makes no night shorter than nothing.
            seconds = greatest(epoch_us(?::timestamp) - epoch_us(started_at), 0) / 1e6,
            status = ?
        where run_id = ? and step is null
        """,
        [finished_at, finished_at, status, run_id],
    )


def note_steps(
    connection: duckdb.DuckDBPyConnection, *, run_id: str, steps: Iterable[Measured], whole: Measured
) -> None:
    """Note what a run and its steps took, in place of what was noted of them before, all or nothing.

    Args:
        connection: The open warehouse.
        run_id: A run that was noted as begun.
        steps: Its steps.
        whole: The run itself.
    """
    connection.begin()
    connection.execute("delete from ops.runs where run_id = ? and step is not null", [run_id])
    connection.execute(
        "update ops.runs set cpu_seconds = ?, peak_memory_bytes = ? where run_id = ? and step is null",
        [whole.cpu_seconds, whole.peak_memory_bytes, run_id],
    )
    rows = [[run_id, step.step, *(getattr(step, column) for column in _COLUMNS)] for step in steps]
    if rows:
        marks = ", ".join(["(" + ", ".join("?" * len(rows[0])) + ")"] * len(rows))
        connection.execute(
            f"insert into ops.runs (run_id, step, {', '.join(_COLUMNS)}) values {marks}",
            [value for row in rows for value in row],
        )
    connection.commit()


def status_of(connection: duckdb.DuckDBPyConnection, run_id: str) -> str | None:
    """How a run stands: ``running`` where it failed to publish without a word; None where it is not on record."""
    query = f"""
        select case when status = 'published' and not {_IS_PUBLISHED} then 'running' else status end
        from ops.runs where run_id = ? and step is null
    """
    found = connection.execute(query, [run_id]).fetchall()
    return found[0][0] if found else None
