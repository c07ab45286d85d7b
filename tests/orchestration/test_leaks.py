"""Snapshots of the past, recomputed from what was known then."""

from pathlib import Path
from typing import Any

import pytest

from orchestration.leaks import recompute_snapshots
from orchestration.settings import Settings
from orchestration.verify import NotVerifiableError
from orchestration.warehouse import connect, run_dbt
from tests.conftest import VARIABLES, write_lake
from tests.dbt_project.test_marts import in_detail, random_history


def test_stored_snapshots_follow_from_the_past_and_a_changed_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    variables = {**VARIABLES, "reporting_timezone": "America/Sao_Paulo"}
    write_lake(settings, in_detail(random_history(5)))
    run_dbt(["run", "--select", "+user_snapshots"], settings, variables)
    found = recompute_snapshots(settings, variables, users=30)
    assert (found.users, found.count) == (30, 0)
    with connect(settings) as connection:
        connection.execute("update features.user_snapshots set events_7d = events_7d + 1")
    found = recompute_snapshots(settings, variables, users=30)
    assert found.count == 30
    assert not (settings.warehouse.parent / "recomputation").exists()

    def rebuild_while_a_night_runs(*arguments: Any) -> None:
        run_dbt(*arguments)
        with connect(settings) as connection:
            note = "insert into increments.built_models values ('user_snapshots', true, 'f', 2, 'night', now())"
            connection.execute(note)

    monkeypatch.setattr("orchestration.leaks.run_dbt", rebuild_while_a_night_runs)
    with pytest.raises(NotVerifiableError, match="A night has brought the marts up to date"):
        recompute_snapshots(settings, variables, users=30)
