"""The warehouse's own record of its nights: ``ops.runs``."""

from datetime import datetime

import duckdb


def start_run(connection: duckdb.DuckDBPyConnection, *, run_id: str, started_at: datetime) -> None:
    """Note that a run has begun; one that never came to its end before is noted as failed.

    Args:
        connection: The open warehouse.
        run_id: The run.
        started_at: When it began, UTC without zone.
    """
    connection.execute("update ops.runs set status = 'failed' where status = 'running' and run_id != ?", [run_id])
    connection.execute("delete from ops.runs where run_id = ?", [run_id])
    connection.execute(
        "insert into ops.runs (run_id, started_at, status) values (?, ?, 'running')", [run_id, started_at]
    )


def finish_run(connection: duckdb.DuckDBPyConnection, *, run_id: str, finished_at: datetime, status: str) -> None:
    """Note how a run came out: ``published``, ``blocked`` or ``failed``."""
    connection.execute(
        """
        update ops.runs
        set
            finished_at = ?,
            -- A clock that was set back meanwhile makes no night shorter than nothing.
            seconds = greatest(epoch_us(?::timestamp) - epoch_us(started_at), 0) / 1e6,
            status = ?
        where run_id = ?
        """,
        [finished_at, finished_at, status, run_id],
    )
