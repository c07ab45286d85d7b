"""A test that passed is not asked again of the same tables; whatever may have changed what it finds has it run."""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestration import graph, increments
from orchestration.increments import Built, build
from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect
from tests.conftest import write_loads
from tests.dbt_project.histories import Project
from tests.dbt_project.test_restatements import load

LOADS = [load(1, ("a1", "2025-03-01 10:00", "ada", "", "view"), ("b1", "2025-03-01 11:00", "bob", "", "purchase"))]
MORE = load(2, ("c1", "2025-03-02 10:00", "cyd", "", "view"))
OF_LAKE = "assert_every_row_of_the_lake_is_in_the_marts_once"


@cache
def project() -> Project:
    return Project.parse({})


class Night:
    """Builds of a few models over a lake."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(data_dir=root)
        self.manifest: dict[str, Any] = deepcopy(dict(project().manifest))
        write_loads(self.settings, LOADS)

    def build(self, *models: str) -> Built:
        return build(self.settings, project().variables, self.manifest, select=models, parse=lambda: project().parsed)

    def name(self, test: str) -> str:
        return str(increments.tests_in(self.manifest)[test]["name"])

    def execute(self, statement: str) -> None:
        with connect(self.settings) as connection:
            connection.execute(statement)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def ran(built: Built | DbtFailed, kind: str) -> set[str]:
    return {result.node.name for result in built.results if result.node.resource_type == kind}


def test_tests_that_passed_stand_for_as_long_as_nothing_changes(night: Night) -> None:
    first = night.build("events", "sessions")
    assert ran(first, "model") >= {"events", "sessions"}
    assert ran(first, "test") >= {OF_LAKE, "unique_sessions_session_id"}
    assert not first.passed_before
    again = night.build("events", "sessions")
    assert ran(again, "model") == set()
    assert OF_LAKE in ran(again, "test")
    assert "unique_sessions_session_id" in set(map(night.name, again.passed_before))
    # Each is reported, one way or the other.
    assert ran(again, "test") | set(map(night.name, again.passed_before)) == ran(first, "test")
    write_loads(night.settings, [*LOADS, MORE])
    assert not night.build("events", "sessions").passed_before


def test_a_build_after_files_were_pruned_names_them_no_more(night: Night) -> None:
    gone = load(2, ("b2", "2025-03-02 10:00", "bob", "", "view"))
    write_loads(night.settings, [*LOADS, gone])
    night.build("events", "sessions")
    write_loads(night.settings, [*LOADS, replace(gone, retired_seq=3)])
    night.build("events", "sessions")
    # All have taken it in, so its file goes.
    (night.settings.lake / "load2.parquet").unlink()
    night.execute("update ops.loads set parquet_file = null where retired_seq is not null")
    assert "stg_events_changed" in ran(night.build("events", "sessions"), "model")
    assert ran(night.build("events", "sessions"), "model") == set()


def test_dbt_is_not_even_started_where_every_test_stands(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    first = night.build("sessions")
    monkeypatch.setattr("orchestration.increments.tests_of_lake", lambda manifest: set())
    monkeypatch.setattr("orchestration.increments.run_dbt", None)
    again = night.build("sessions")
    assert (again.results, set(map(night.name, again.passed_before))) == ([], ran(first, "test"))


def test_a_test_that_fails_fails_again(night: Night) -> None:
    night.build("sessions")
    # As if they had not been tested yet.
    night.execute("insert into marts.sessions from marts.sessions; delete from increments.work_done")
    with pytest.raises(DbtFailed, match="unique_sessions_session_id"):
        night.build("sessions")
    with pytest.raises(DbtFailed, match="unique_sessions_session_id") as again:
        night.build("sessions")
    standing = set(map(night.name, again.value.passed_before))
    assert "unique_sessions_session_id" not in standing
    assert standing


def test_a_test_that_is_declared_anew_runs(night: Night) -> None:
    night.build("sessions")
    for test in increments.tests_in(night.manifest).values():
        test["config"]["severity"] = "warn"
    assert not night.build("sessions").passed_before


def test_predictions_that_changed_are_taken_in_and_tested(night: Night) -> None:
    estimate = "('ada', date '2025-03-01', 0.5, 1, 2, {clv}, null)"
    night.execute(f"insert into ml.clv_predictions values {estimate.format(clv=2)}")
    assert "clv" in ran(night.build("clv"), "model")
    standing = night.build("clv")
    assert (ran(standing, "model"), bool(standing.passed_before)) == (set(), True)
    night.execute("update ml.clv_predictions set clv = 3")
    changed = night.build("clv")
    assert ("clv" in ran(changed, "model"), changed.passed_before) == (True, set())


def test_what_reads_the_lake_is_known() -> None:
    names = {project().manifest["nodes"][test]["name"] for test in graph.tests_of_lake(project().manifest)}
    assert {OF_LAKE, "assert_every_reject_is_on_record"} <= names
    assert "unique_sessions_session_id" not in names
