"""Runs on record as under way whose process is gone, as after a power cut or a kill."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestration.nights.lock import NightRunning, hold
from orchestration.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

MAKE_RUN = {"avila/begun_by": "make run"}
"""The tag of runs that hold the lock before they are on record, until they have ended: one that does not is gone."""


def end_orphans(settings: Settings, instance: "DagsterInstance", *, tags: Mapping[str, str] | None = None) -> list[str]:
    """Have them on record as failed; returns their ids.

    Dagster would wait for their end, and begin no other. Nothing is done while a process holds the warehouse.

    Args:
        settings: Where the warehouse lives.
        instance: Whose runs they are.
        tags: Only runs that have these. A run that Dagster has launched takes the lock some time after it has begun,
            so that all runs may be asked for only while no scheduler runs.
    """
    from dagster import DagsterRunStatus, RunsFilter

    under_way = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    wanted = RunsFilter(statuses=under_way, tags=dict(tags or {}))
    if not instance.get_runs(wanted, limit=1):
        return []
    try:
        with hold(settings, what="a look for runs without a process"):
            orphans = instance.get_runs(wanted)
            for run in orphans:
                instance.report_run_failed(run, "Its process ended without a word. The next run heals what it left.")
    except NightRunning:
        return []
    return [run.run_id for run in orphans]
