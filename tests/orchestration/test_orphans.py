"""Runs whose process is gone do not keep the scheduler from beginning others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from orchestration.nightly import prepare_dagster
from orchestration.nights.lock import lock_file
from orchestration.nights.orphans import MAKE_RUN, end_orphans
from orchestration.settings import Settings
from tests.orchestration.locking import held_by_another

STATUSES = [
    DagsterRunStatus.STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.SUCCESS,
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster(settings)
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        yield instance


def test_a_run_without_a_process_is_on_record_as_failed(settings: Settings, instance: DagsterInstance) -> None:
    ids = [instance.add_run(DagsterRun(job_name="nightly", status=status)).run_id for status in STATUSES]
    with held_by_another(lock_file(settings)):
        assert end_orphans(settings, instance) == []
    assert sorted(end_orphans(settings, instance)) == sorted(ids[:2])
    # What has not begun is begun by the scheduler; what ended has ended.
    found = [run.status if (run := instance.get_run_by_id(run_id)) else None for run_id in ids]
    assert found == [DagsterRunStatus.FAILURE, DagsterRunStatus.FAILURE, *STATUSES[2:]]
    assert end_orphans(settings, instance) == []


def test_a_run_that_dagster_has_launched_may_be_short_of_its_lock(
    settings: Settings, instance: DagsterInstance
) -> None:
    launched, by_hand = (
        instance.add_run(DagsterRun(job_name="nightly", status=DagsterRunStatus.STARTED, tags=tags)).run_id
        for tags in ({}, MAKE_RUN)
    )
    assert end_orphans(settings, instance, tags=MAKE_RUN) == [by_hand]
    assert launched in [run.run_id for run in instance.get_runs() if run.status == DagsterRunStatus.STARTED]
