"""The comparison with a full rebuild, and what it says where there is nothing fair to compare."""

import subprocess
import sys
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from orchestration.settings import Settings
from orchestration.verify import NotVerifiableError, check_up_to_date, compare, verify
from orchestration.warehouse import run_dbt
from tests.conftest import Load
from tests.dbt_project.histories import Outcome, Project, Warehouse
from tests.orchestration.locking import held_by_another


@cache
def project() -> Project:
    return Project.parse({})


def load(number: int, *minutes: int) -> Load:
    events = pd.DataFrame(
        {
            "event_id": [f"{number}-{minute}" for minute in minutes],
            "event_ts": [datetime(2025, 3, 1, 10, minute) for minute in minutes],
            "user_id": "ada",
            "event_name": "view",
        }
    )
    return Load(f"load{number}", number, events)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("built"), project())
    made.build([load(1, 0, 10)])
    made.build([load(1, 0, 10), load(2, 5, 50)])
    return made


def test_rows_that_differ_are_shown(built: Warehouse) -> None:
    arguments = built.settings, project().variables, project().manifest
    assert verify(*arguments) == []
    with duckdb.connect(str(built.settings.warehouse)) as connection:
        connection.execute("update marts.sessions set events = 9 where events = 3")
    (difference,) = verify(*arguments)
    with duckdb.connect(str(built.settings.warehouse)) as connection:
        connection.execute("update marts.sessions set events = 3 where events = 9")
    assert str(difference).startswith("marts.sessions: 1 rows a rebuild does not have, 1 rows only it has")
    assert [example.split(":")[0] for example in difference.examples] == ["only stored", "only rebuilt"]
    assert not (built.settings.warehouse.parent / "verification").exists()


def test_two_that_verify_keep_out_of_each_others_way(built: Warehouse) -> None:
    with (
        held_by_another(built.settings.warehouse.parent / ".verification.lock"),
        pytest.raises(NotVerifiableError, match="being verified already"),
    ):
        verify(built.settings, project().variables, project().manifest)


def test_how_good_scores_were_is_the_same_on_any_number_of_threads(built: Warehouse) -> None:
    """They take up rows in another order, as a rebuild may, and doubles add up to something else then."""
    scores = """
        select 'churn' as model, 'u' || range as user_key, date '2025-03-02' as as_of, 'v' as model_version,
            1 / (3 + range % 50) as probability, 1 + range % 10 as decile, range % 3 = 0 as outcome
        from range(1000)
    """
    measured = []
    with duckdb.connect(str(built.settings.warehouse)) as connection:
        connection.execute(f"insert into marts.score_history by name {scores}")
    for threads in (1, 2, 2):
        settings = Settings(**{**built.settings.model_dump(), "threads": threads})
        run_dbt(["run", "--select", "score_performance"], settings, project().variables)
        with duckdb.connect(str(settings.warehouse)) as connection:
            measured.append(connection.execute("from marts.score_performance").fetchall())
    with duckdb.connect(str(built.settings.warehouse)) as connection:
        connection.execute("delete from marts.score_history")
        connection.execute("delete from marts.score_performance")
    assert measured[1:] == measured[:1] * 2


def test_a_definition_that_changed_is_no_difference(built: Warehouse) -> None:
    changed = {**project().variables, "sessions": {"timeout_minutes": 5}}
    with pytest.raises(NotVerifiableError, match=r"AVILA_DATA_DIR=.* make run brings them up to date\. Behind are"):
        check_up_to_date(built.settings, changed, project().manifest)


def test_a_night_cut_short_is_no_difference(tmp_path: Path) -> None:
    cut = Warehouse(tmp_path, project())
    cut.build([load(1, 0, 10)], Outcome(killed_after=0))
    with pytest.raises(NotVerifiableError, match="not up to date"):
        check_up_to_date(cut.settings, project().variables, project().manifest)


def test_where_no_night_has_been_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(NotVerifiableError, match=r"nothing to verify yet: AVILA_DATA_DIR=.* make run"):
        check_up_to_date(Settings(data_dir=tmp_path), {}, {})
    assert list(tmp_path.iterdir()) == []


def test_while_a_night_writes_nothing_is_compared(built: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*arguments: object, **options: object) -> None:
        raise duckdb.IOException("Could not set lock")

    monkeypatch.setattr("orchestration.verify.duckdb.connect", locked)
    with pytest.raises(NotVerifiableError, match="a night is running"):
        check_up_to_date(built.settings, project().variables, project().manifest)


def test_a_night_that_comes_in_between_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Warehouse(tmp_path, project())
    made.build([load(1, 0, 10)])

    def rebuild_while_a_night_runs(*arguments: Any) -> None:
        run_dbt(*arguments)
        made.build([load(1, 0, 10), load(2, 5, 50)])

    monkeypatch.setattr("orchestration.verify.run_dbt", rebuild_while_a_night_runs)
    with pytest.raises(NotVerifiableError, match="A night has brought the marts up to date"):
        verify(made.settings, project().variables, project().manifest)


def test_a_night_that_has_begun_meanwhile_is_told(built: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    holds = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holds, str(built.settings.warehouse)]

    def compare_while_a_night_writes(*arguments: Any) -> object:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as night:
            assert night.stdout
            night.stdout.readline()
            return compare(*arguments)

    monkeypatch.setattr("orchestration.verify.compare", compare_while_a_night_writes)
    with pytest.raises(NotVerifiableError, match="a night is running"):
        verify(built.settings, project().variables, project().manifest)
