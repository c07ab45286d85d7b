"""Runs whose process is gone do not keep the scheduler from beginning others."""

from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from orchestration.nightly import prepare_dagster
from orchestration.nights.lock import lock_file
from orchestration.settings import Settings
from orchestration.ui import end_orphans
from tests.orchestration.locking import held_by_another


def test_a_run_without_a_process_is_on_record_as_failed(tmp_path: Path, monkeypatch) -> None:
    settings = Settings(data_dir=tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster(settings)
    home = str(settings.dagster_home)
    statuses = [
        DagsterRunStatus.STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.SUCCESS,
    ]
    with DagsterInstance.from_config(home) as instance:
        ids = [instance.add_run(DagsterRun(job_name="nightly", status=status)).run_id for status in statuses]
    with held_by_another(lock_file(settings)):
        assert end_orphans(settings) == []
    assert sorted(end_orphans(settings)) == sorted(ids[:2])
    with DagsterInstance.from_config(home) as instance:
        found = [instance.get_run_by_id(run_id).status for run_id in ids]
    # What has not begun is begun by the scheduler; what ended has ended.
    assert found == [DagsterRunStatus.FAILURE, DagsterRunStatus.FAILURE, *statuses[2:]]
    assert end_orphans(settings) == []
