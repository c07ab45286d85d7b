"""How a run came out, as Dagster has it on record: what failed, and what its checks found."""

from collections.abc import Iterable
from dataclasses import dataclass

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
)
from dagster._core.events import EngineEventData, JobFailureData
from dagster._core.storage.dagster_run import DagsterRunStatus

_REFUSED = "Not published;"


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check as a run found it.

    Attributes:
        name: Asset and check, such as ``marts/sessions: unique_sessions_session_id``.
        blocks: Whether it keeps the night from being published, where it failed.
        said: What it found, in words.
    """

    name: str
    passed: bool
    blocks: bool
    said: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run.

    Attributes:
        failures: By step, why it failed; without those that only say what a failed check says.
        checks: All that were asked.
    """

    run_id: str
    job: str
    succeeded: bool
    failures: dict[str, str]
    checks: tuple[Check, ...]

    @property
    def blocked_by(self) -> list[Check]:
        """The checks that kept the run from publishing."""
        return [] if self.succeeded else [check for check in self.checks if not check.passed and check.blocks]


def outcome_of(instance: DagsterInstance, run_id: str) -> Outcome:
    """Read how a finished run came out.

    Raises:
        LookupError: There is no such run.
    """
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise LookupError(f"Dagster knows no run {run_id}")
    wanted = {
        DagsterEventType.STEP_FAILURE,
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.RUN_FAILURE,
        # A process that could not load the code location, as over a mistake in avila.yml, says so here alone.
        DagsterEventType.ENGINE_EVENT,
    }
    events = [entry.get_dagster_event() for entry in instance.all_logs(run_id, of_type=wanted) if entry.dagster_event]
    checks = tuple(_check(event.asset_check_evaluation_data) for event in events if _is_check(event))
    failed = {check.name.partition(": ")[2] for check in checks if not check.passed}
    failures = {}
    for event in events:
        reason = step_failure(event) if event.is_step_failure else ""
        if reason and event.step_key and not _repeats(reason, failed):
            failures[event.step_key] = reason
    succeeded = run.status == DagsterRunStatus.SUCCESS
    if not succeeded and not failures and not any(check.blocks and not check.passed for check in checks):
        failures["run"] = run_failure(events) or f"It ended as {run.status.value.lower()}."
    return Outcome(run_id=run_id, job=run.job_name, succeeded=succeeded, failures=failures, checks=checks)


def step_failure(event: DagsterEvent) -> str:
    """Why a step failed, in its own words; nothing for a failed check, which speaks for itself."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None:
        return failure.user_failure_data.description or ""
    error = failure.error
    if error is None or error.cls_name == "DagsterAssetCheckFailedError":
        return ""
    return f"{event.step_key}: {(error.cause or error).message.strip()}"


def run_failure(events: Iterable[DagsterEvent]) -> str:
    """Why a run failed that came to no step, such as for want of what all steps need; nothing where none says."""
    errors, said = [], ""
    for event in events:
        data = event.event_specific_data
        if isinstance(data, JobFailureData | EngineEventData) and data.error is not None:
            errors.append((data.error.cause or data.error).message.strip())
        elif event.event_type == DagsterEventType.RUN_FAILURE:
            said = event.message or ""
    return errors[-1] if errors else said


def only_refused(reason: str) -> bool:
    """Whether a step failed because publishing was refused: its checks say why."""
    return reason.startswith(_REFUSED)


def _is_check(event: DagsterEvent) -> bool:
    return event.event_type == DagsterEventType.ASSET_CHECK_EVALUATION


def _check(found: AssetCheckEvaluation) -> Check:
    is_error = found.severity == AssetCheckSeverity.ERROR
    return Check(
        name=f"{found.asset_key.to_user_string()}: {found.check_name}",
        passed=found.passed,
        blocks=is_error,
        said=found.description or "",
    )


def _repeats(reason: str, failed: set[str]) -> bool:
    """Whether a step failed for nothing but checks: it names them, line by line, or publishing was refused."""
    if only_refused(reason):
        return True
    _, *lines = reason.splitlines()
    named = [line for line in lines if line and not line[0].isspace()]
    return bool(named) and all(line.partition(":")[0] in failed for line in named)
