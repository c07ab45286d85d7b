"""How a run speaks, and who listens: a line a message, and a stopwatch that is told of every step."""

import logging

from dagster import (
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterLogManager,
    Definitions,
    InitLoggerContext,
    logger,
)

from orchestration.house import open_house
from orchestration.nights.logs import handler
from orchestration.nights.stopwatch import Came, Stopwatch, running


class Timekeeper(logging.Handler):
    """Tells the stopwatch of a run when its steps begin and end, and what they say of rows.

    Dagster hands every event to a run's loggers when it happens, in the process that runs the step.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event; messages are none."""
        meta = getattr(record, "dagster_meta", {})
        event, stopwatch = meta.get("dagster_event"), running(meta.get("run_id"))
        if event is not None and stopwatch is not None:
            note(stopwatch, event)


def note(stopwatch: Stopwatch, event: DagsterEvent) -> None:
    """Tell a stopwatch of an event, if it is one of a step."""
    step = event.step_key or ""
    match event.event_type:
        case DagsterEventType.STEP_START | DagsterEventType.STEP_RESTARTED:
            stopwatch.begin(step)
        case DagsterEventType.STEP_SUCCESS:
            stopwatch.end(step, rows=stopwatch.rows_of.pop(step, None))
        case DagsterEventType.STEP_UP_FOR_RETRY:
            # Other steps run meanwhile, and are no part of it.
            stopwatch.wait(step)
        case DagsterEventType.STEP_FAILURE:
            stopwatch.failed = True
            stopwatch.end(step, status="failed", rows=stopwatch.rows_of.pop(step, None))
        case DagsterEventType.ASSET_MATERIALIZATION:
            _note_rows(stopwatch, step, event)
        case DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            stopwatch.blocked |= not check.passed and check.severity == AssetCheckSeverity.ERROR


def _note_rows(stopwatch: Stopwatch, step: str, event: DagsterEvent) -> None:
    made = event.step_materialization_data.materialization
    said = {name: value.value for name, value in made.metadata.items() if isinstance(value.value, int)}
    rows = said.get("dagster/row_count")
    if rows is None:
        return
    stopwatch.rows_of[step] = stopwatch.rows_of.get(step, 0) + rows
    if made.asset_key.path[0] == "lake":
        stopwatch.came[made.asset_key.path[-1]] = Came(rows=rows, rejected=said.get("rejected", 0))
    stopwatch.note_rows(".".join(made.asset_key.path), rows)


@logger(None, description="On standard error, words for a terminal and JSON lines for all else.")
def console(_: InitLoggerContext) -> logging.Logger:
    """What our jobs name as their logger."""
    return _spoken()


def listen_to(log: DagsterLogManager) -> None:
    """Let our logger take the place of Dagster's own in a run whose job names none.

    What is started on an asset's page is of a job that Dagster makes by itself, and can be given no configuration: its
    steps would not be timed, and a failed one would leave the run on record as done.
    """
    # All steps' loggers share this list, and nothing public leads to it.
    loggers = log._dagster_handler._loggers
    if isinstance(loggers, list) and not any(_is_ours(each) for each in loggers):
        loggers[:] = [_spoken()]


def _is_ours(spoken: logging.Logger) -> bool:
    return any(isinstance(each, Timekeeper) for each in spoken.handlers)


def _spoken() -> logging.Logger:
    """Informative messages and worse are said; the stopwatch is told of everything."""
    spoken = logging.Logger("avila", level=logging.DEBUG)
    spoken.addHandler(handler(open_house().settings))
    spoken.addHandler(Timekeeper(level=logging.DEBUG))
    return spoken


defs = Definitions(loggers={"console": console})
