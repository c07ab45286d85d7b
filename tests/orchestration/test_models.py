"""A model's night: what is done anew, and what is left as it was."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ml.churn import CHURN
from orchestration.ledger import fingerprint
from orchestration.models import ModelNight, refresh_model
from orchestration.settings import Settings
from orchestration.warehouse import connect
from tests.ml.synthetic import snapshots

HORIZON_DAYS = 14


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    frame = snapshots(label="churned", users=150, horizon_days=HORIZON_DAYS, seed=3)
    with connect(settings) as connection:
        connection.register("frame", frame)
        connection.execute("create table features.churn_features as from frame")
        refresh_model(connection, settings, CHURN, horizon_days=HORIZON_DAYS)
    return settings


def night(settings: Settings, *changes: str, horizon_days: int = HORIZON_DAYS) -> ModelNight:
    with connect(settings) as connection:
        for change in changes:
            connection.execute(change)
        return refresh_model(connection, settings, CHURN, horizon_days=horizon_days)


def predictions(settings: Settings) -> pd.DataFrame:
    with connect(settings) as connection:
        return connection.execute("from ml.churn_predictions order by user_key").df()


def test_nothing_is_done_twice_for_the_same_rows_in_whatever_order(settings: Settings) -> None:
    before = predictions(settings)
    again = night(
        settings,
        "create table shuffled as from features.churn_features order by hash(user_key)",
        "create or replace table features.churn_features as from shuffled",
    )
    assert again.done == "unchanged"
    assert again.users_scored == len(before)
    assert again.metrics
    pd.testing.assert_frame_equal(predictions(settings), before)


def test_other_features_of_today_are_scored_by_the_same_model(settings: Settings) -> None:
    newest = "(select max(as_of) from features.churn_features)"
    first = night(settings)
    scored = night(settings, f"update features.churn_features set recency_days = 80 where as_of = {newest}")
    assert scored.done == "scored"
    assert scored.version == first.version
    model = night(settings, "delete from increments.work_done")
    after = predictions(settings)
    assert model.done == "trained"
    assert model.version == first.version
    assert night(settings).done == "unchanged"
    pd.testing.assert_frame_equal(predictions(settings), after)


@pytest.mark.parametrize(
    "change",
    [
        "update features.churn_features set churned = not churned where user_key = (select min(user_key) "
        "from features.churn_features where churned is not null)",
        "delete from ops.model_versions",
    ],
)
def test_other_outcomes_and_a_lost_record_are_trained_on(settings: Settings, change: str) -> None:
    assert night(settings, change).done == "trained"


def test_another_horizon_and_a_lost_or_broken_model_are_trained_on(settings: Settings) -> None:
    assert night(settings, horizon_days=HORIZON_DAYS + 1).done == "trained"
    home = settings.root / night(settings).home
    (home / "metadata.json").unlink()
    assert night(settings).done == "trained"
    for file in home.glob("model.*"):
        file.write_bytes(b"broken")
    assert (
        night(settings, "update features.churn_features set tenure_days = 900 where churned is null").done == "trained"
    )


def test_scores_that_were_tampered_with_are_written_again(settings: Settings) -> None:
    before = predictions(settings)
    assert night(settings, "update ml.churn_predictions set probability = 0").done == "scored"
    pd.testing.assert_frame_equal(predictions(settings), before)


def test_a_fingerprint_knows_rows_columns_and_facts_but_no_order() -> None:
    with duckdb.connect() as connection:

        def of(query: str, *facts: object) -> str:
            return fingerprint(connection, [f"({query})"], *facts)

        same = of("from (values (1, 'a'), (2, null)) as t(x, y)")
        assert of("from (values (2, null), (1, 'a')) as t(x, y)") == same
        others = [
            of("from (values (1, 'a'), (2, null)) as t(x, z)"),
            of("from (values (1, 'a'), (2, '')) as t(x, y)"),
            of("from (values (1, 'a'), (2, null), (2, null), (2, null)) as t(x, y)"),
            of("from (values (1::double, 'a'), (2, null)) as t(x, y)"),
            of("from (values (1, 'a'), (2, null)) as t(x, y)", 14),
        ]
        assert len({same, *others}) == 1 + len(others)
