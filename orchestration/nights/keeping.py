"""What is kept of the past, and for how long: the policy in `avila.yml`, and the pruning that goes by it.

Dumps, the lake and the marts are the user's history and are never pruned here.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pydantic import Field

from orchestration.declared import Declared
from orchestration.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

RUNS_AT_ONCE = 30
"""Deleting a run costs milliseconds: after a policy has been tightened, what is too old goes over several nights."""


class Keep(Declared):
    """How much of the past is kept.

    Attributes:
        runs_days: Dagster's runs with their events and logs, and pictures of marts that are drawn no more.
        model_versions: Of each model, the newest trainings beside the champion. One at least: the newest is asked
            each night whether it was trained without looking ahead.
        records_days: Rows of ``ops.runs``, ``ops.publications`` and ``ops.restatements``.
    """

    runs_days: int = Field(default=90, ge=1)
    model_versions: int = Field(default=20, ge=1)
    records_days: int = Field(default=730, ge=1)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """How much was removed."""

    runs: int = 0
    files: int = 0
    model_versions: int = 0
    records: int = 0

    def __str__(self) -> str:
        """All of it in a line; empty where there was nothing."""
        counts = {
            "runs": self.runs,
            "files of their logs and pictures": self.files,
            "model versions": self.model_versions,
            "records": self.records,
        }
        said = [f"{count:,} {what}" for what, count in counts.items() if count]
        return f"pruned, as `keep` in avila.yml says: {', '.join(said)}" if said else ""


def prune_records(connection: duckdb.DuckDBPyConnection, keep: Keep, *, now: datetime) -> int:
    """Remove records of the warehouse that are too old, but for those of the newest publication; returns how many.

    Args:
        connection: The open warehouse.
        keep: The policy.
        now: UTC without zone.
    """
    since, removed = now - timedelta(days=keep.records_days), 0
    newest = "select max_by(run_id, publication_number) from ops.publications"
    for table, moment in (("runs", "started_at"), ("restatements", "restated_at"), ("publications", "published_at")):
        query = f"delete from ops.{table} where {moment} < ? and run_id is distinct from ({newest})"
        removed += int(connection.execute(query, [since]).fetchall()[0][0])
    return removed


def prune_models(connection: duckdb.DuckDBPyConnection, settings: Settings, keep: Keep) -> int:
    """Remove trainings that are too many, oldest first; returns how many.

    Champions stay, and so does what the registry calls the latest. A version's row in ``ops.model_versions`` stays too,
    with no path.
    """
    removed = 0
    rows = connection.execute(
        "select model, version, coalesce(is_champion, false) from ops.model_versions order by trained_at desc, version"
    ).fetchall()
    versions: dict[str, list[str]] = {}
    for model, version, is_champion in rows:
        if not is_champion and version != _latest(settings, model):
            versions.setdefault(model, []).append(version)
    for model, others in versions.items():
        for version in others[keep.model_versions :]:
            home = settings.models / model / version
            if home.is_dir():
                shutil.rmtree(home)
                removed += 1
            query = "update ops.model_versions set path = null where model = ? and version = ? and path is not null"
            connection.execute(query, [model, version])
    return removed


def prune_runs(instance: "DagsterInstance", settings: Settings, keep: Keep, *, now: datetime) -> tuple[int, int]:
    """Remove Dagster's runs that ended too long ago, and what lies about of runs that are gone.

    The last answer to each check is kept, however old: gates rest on it.

    Returns:
        How many runs, and how many directories of logs and pictures.
    """
    from dagster import DagsterRunStatus, RunsFilter

    since = (now - timedelta(days=keep.runs_days)).replace(tzinfo=UTC)
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    old = instance.get_run_records(RunsFilter(statuses=ended, updated_before=since), limit=RUNS_AT_ONCE, ascending=True)
    gone = [record.dagster_run.run_id for record in old]
    for run_id in gone:
        instance.delete_run(run_id)
        _forget_answers(instance, run_id)
        # Dagster empties a run's log and leaves the file.
        for path in (settings.dagster_home / "history" / "runs").glob(f"{run_id}.db*"):
            path.unlink()
    return len(gone), _prune_files(instance, settings.dagster_home / "storage", since.timestamp())


def _forget_answers(instance: "DagsterInstance", run_id: str) -> None:
    """Remove a run's answers to checks that have been asked since."""
    from dagster._core.storage.event_log import SqlEventLogStorage
    from sqlalchemy import text

    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        newest = "select max(id) from asset_check_executions group by asset_key, check_name"
        query = f"delete from asset_check_executions where run_id = :run_id and id not in ({newest})"
        with storage.index_connection() as connection:
            connection.execute(text(query), {"run_id": run_id})


def _prune_files(instance: "DagsterInstance", storage: Path, since: float) -> int:
    """Remove what a run wrote that is gone, and pictures that no night has drawn since; returns how many."""
    removed = 0
    for logs in storage.glob("*/compute_logs"):
        home = logs.parent
        if home.stat().st_mtime < since and not instance.has_run(home.name):
            shutil.rmtree(home)
            removed += 1
    for picture in (storage / "pictures").glob("*"):
        if picture.stat().st_mtime < since:
            picture.unlink()
            removed += 1
    return removed


def _latest(settings: Settings, model: str) -> str | None:
    pointer = settings.models / model / "latest"
    return pointer.read_text(encoding="utf-8").strip() if pointer.exists() else None
