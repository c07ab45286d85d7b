"""What is done when a night is over, however it came out: its record, housekeeping, and its figures.

Each part is done for itself. None may fail a night, as what matters is published by then, or has failed already.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestration.house import House
from orchestration.nights.compaction import compact
from orchestration.nights.keeping import Pruned, prune_models, prune_records, prune_runs
from orchestration.nights.metrics import Summary, write_metrics
from orchestration.nights.runs import finish_run, note_steps, start_run, status_of
from orchestration.nights.stopwatch import Stopwatch, utc_now
from orchestration.settings import Settings
from orchestration.verify import clear_rooms
from orchestration.warehouse import connect

if TYPE_CHECKING:
    from dagster import DagsterInstance

Say = Callable[[str], None]


def tidy(house: House, stopwatch: Stopwatch, instance: "DagsterInstance | None", *, say: Say, warn: Say) -> None:
    """Do it all; the caller holds the night's lock.

    Args:
        house: The warehouse.
        stopwatch: Of the run that is over.
        instance: Dagster's, whose runs are pruned.
        say: Told what was done that is worth a line.
        warn: Told what could not be done.
    """
    status = "failed"
    try:
        status = _record(house, stopwatch)
    except Exception as error:
        warn(f"the run could not be put on record: {_brief(error)}")
    for part in (_prune, _clear, _compact):
        try:
            said = part(house, instance)
        except Exception as error:
            warn(f"housekeeping: {_brief(error)}")
        else:
            if said:
                say(said)
    summary = Summary(status=status, whole=stopwatch.whole(), steps=tuple(stopwatch.steps), came=dict(stopwatch.came))
    note_figures(house.settings, summary, warn=warn)


def note_figures(settings: Settings, summary: Summary, *, warn: Say) -> None:
    """Write the metrics, if they can be written."""
    try:
        write_metrics(settings, summary)
    except Exception as error:
        warn(f"the metrics could not be written: {_brief(error)}")


def _record(house: House, stopwatch: Stopwatch) -> str:
    """Put the steps on record, and the run's status where no step has; returns that."""
    run_id, whole = stopwatch.run_id, stopwatch.whole()
    with connect(house.settings) as connection:
        status = status_of(connection, run_id)
        if status is None:
            start_run(connection, run_id=run_id, started_at=whole.started_at)
        if status is None or status == "running":
            status = ("blocked" if stopwatch.blocked else "failed") if stopwatch.failed else "done"
            finish_run(connection, run_id=run_id, finished_at=utc_now(), status=status)
        note_steps(connection, run_id=run_id, steps=stopwatch.steps, whole=whole)
    return status


def _prune(house: House, instance: "DagsterInstance | None") -> str:
    settings, keep, now = house.settings, house.declarations.keep, utc_now()
    with connect(settings) as connection:
        records = prune_records(connection, keep, now=now)
        versions = prune_models(connection, settings, keep)
    runs, files = prune_runs(instance, settings, keep, now=now) if instance is not None else (0, 0)
    return str(Pruned(runs=runs, files=files, model_versions=versions, records=records))


def _clear(house: House, instance: "DagsterInstance | None") -> str:
    clear_rooms(house.settings)
    return ""


def _compact(house: House, instance: "DagsterInstance | None") -> str:
    done = compact(house.settings)
    return str(done) if done else ""


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
