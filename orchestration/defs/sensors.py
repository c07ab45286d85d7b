"""Between nights: runs for dumps that land, alerts of runs that ended and of what is late, and a look at avila.yml."""

import json
import time
from datetime import UTC, datetime

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from orchestration.alerts.watch import watch
from orchestration.arrivals import Arrivals, new_dumps
from orchestration.declarations import DeclarationError, Declarations
from orchestration.defs.schedules import nightly
from orchestration.house import open_house
from orchestration.nights.metrics import Summary
from orchestration.nights.morning import note_figures
from orchestration.nights.orphans import MAKE_RUN, end_orphans
from orchestration.settings import CODE_LOCATION, Settings

HOUSE = open_house()
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
LOOK_SECONDS = 900.0
"""How often lateness is looked at, and the outbox emptied, while no run ends."""


@sensor(
    job=nightly,
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts a run when new dumps have landed on a local disk and nothing more has come for a minute.",
)
def dumps_landed(context: SensorEvaluationContext) -> SensorResult:
    """Look for new dumps, unless a run is under way."""
    # Dagster looks after the runs that it has launched itself.
    end_orphans(HOUSE.settings, context.instance, tags=MAKE_RUN)
    if context.instance.get_runs(RunsFilter(statuses=UNFINISHED), limit=1):
        return SensorResult(skip_reason=SkipReason("A run is under way."), cursor=context.cursor)
    settings = HOUSE.settings
    found = new_dumps(HOUSE.declarations.sources, settings.root, settings.lake / "catalog.sqlite")
    arrivals, begins = Arrivals.from_json(context.cursor).look(found, now=time.time())
    requests = [RunRequest(tags={"avila/dumps_landed": str(len(found))})] if begins else []
    waits = SkipReason(f"{len(found)} new dumps; a run begins when they have come to rest.")
    return SensorResult(run_requests=requests, skip_reason=None if begins else waits, cursor=arrivals.to_json())


@sensor(
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description=(
        "Tells the channels in `avila.yml` of runs that ended, late dumps and marts, and rules that hold; "
        "and Prometheus of a night that could not do so itself."
    ),
)
def alerts(context: SensorEvaluationContext) -> SensorResult:
    """Look at every run that has ended since the last look; else, from time to time, at what is late."""
    now = time.time()
    before = json.loads(context.cursor) if context.cursor else {"ended": now - 3600, "looked": 0.0}
    since = datetime.fromtimestamp(before["ended"], UTC)
    records = context.instance.get_run_records(RunsFilter(statuses=ENDED, updated_after=since))
    if any(left_no_figures(record) for record in records):
        note_figures(HOUSE.settings, Summary(status="failed"), warn=context.log.warning)
    told = [watch(HOUSE, context.instance, record.dagster_run.run_id) for record in records]
    if not records and now - before["looked"] >= LOOK_SECONDS:
        told.append(watch(HOUSE))
    ended = max([before["ended"], *(record.update_timestamp.timestamp() for record in records)])
    said = "; ".join(text for text in map(str, told) if text) or "Nothing new."
    return SensorResult(
        skip_reason=SkipReason(said),
        cursor=json.dumps({"ended": ended, "looked": now if told else before["looked"]}),
    )


def left_no_figures(record: RunRecord) -> bool:
    """Whether a night failed before its first step, as over a mistake in `avila.yml`, or was killed."""
    if record.dagster_run.job_name != nightly.name or record.dagster_run.status != DagsterRunStatus.FAILURE:
        return False
    figures, began = HOUSE.settings.metrics, record.start_time or record.update_timestamp.timestamp()
    return not figures.exists() or figures.stat().st_mtime < began


@sensor(
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Has the UI, schedules and sensors go by a changed `avila.yml`, when no run is under way.",
)
def declarations(context: SensorEvaluationContext) -> SkipReason:
    """Load the code location anew when its sources may be others.

    A run takes its steps from the code location, which has read the file once: a source that came later would never be
    loaded, and one that went would fail every night.
    """
    settings = HOUSE.settings
    try:
        if Declarations.load(settings.declarations) == HOUSE.declarations:
            return SkipReason("avila.yml is as it was.")
    except DeclarationError as error:
        return SkipReason(f"What was declared before stands until this is mended: {error}")
    if context.instance.get_runs(RunsFilter(statuses=UNFINISHED), limit=1):
        return SkipReason("avila.yml has changed; it is read when no run is under way.")
    try:
        load_anew(settings)
    except Exception as error:
        return SkipReason(f"avila.yml has changed; stop the UI and start it again, as it cannot be told: {error}")
    return SkipReason("avila.yml has changed, and is read anew.")


def load_anew(settings: Settings) -> None:
    """Have the UI load the code location anew; the daemon follows within a minute.

    Raises:
        Exception: It does not answer, or could not.
    """
    # Imported here: the nights have no use for it.
    from dagster_graphql import DagsterGraphQLClient, ReloadRepositoryLocationStatus

    host = "127.0.0.1" if settings.ui_host == "0.0.0.0" else settings.ui_host  # noqa: S104
    client = DagsterGraphQLClient(host, port_number=settings.ui_port)
    done = client.reload_repository_location(CODE_LOCATION)
    if done.status != ReloadRepositoryLocationStatus.SUCCESS:
        raise RuntimeError(done.message)
