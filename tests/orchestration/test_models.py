"""A model's night: what is done anew, and what is left as it was."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ml.churn import CHURN
from orchestration.ledger import fingerprint
from orchestration.model_checks import drift_of, leak_proofs, newest_decision
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


def night(settings: Settings, *changes: str, horizon_days: int = HORIZON_DAYS, event: str | None = None) -> ModelNight:
    with connect(settings) as connection:
        for change in changes:
            connection.execute(change)
        return refresh_model(connection, settings, CHURN, horizon_days=horizon_days, event=event)


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


FLIP = (
    "update features.churn_features set churned = not churned where user_key = (select min(user_key) "
    "from features.churn_features where churned is not null)"
)


def test_other_outcomes_are_trained_on_after_a_week_or_where_they_are_many(settings: Settings) -> None:
    assert night(settings, FLIP).done == "scored"
    week = "update increments.work_done set outcome = replace(outcome, '2024-06-03', '2024-05-27')"
    assert night(settings, FLIP, week).done == "scored", "the outcomes are those that were trained on"
    assert night(settings, FLIP).done == "trained"
    many = "delete from features.churn_features where hash(user_key) % 5 = 0 and churned is not null"
    assert night(settings, many).done == "trained"


def test_other_definitions_of_features_or_label_are_trained_on_at_once(settings: Settings) -> None:
    define = "insert or replace into increments.built_models (model, fingerprint) values ('churn_features', '{}')"
    assert night(settings, define.format("one"), FLIP).done == "trained"
    assert night(settings, define.format("one")).done == "unchanged"
    assert night(settings, define.format("another"), FLIP).done == "trained"


def test_another_event_is_another_question_that_no_champion_has_answered(settings: Settings) -> None:
    """The champion's answers, however good, are to what was asked before."""
    before = night(settings)
    assert before.decision == "Promoted: no model has scored before."
    asked = night(settings, "update features.churn_features set churned = not churned", event="signup")
    assert asked.done == "trained"
    assert asked.decision == f"Promoted: {before.version}, which scored before, was asked for another horizon or event."
    assert night(settings, event="signup").done == "unchanged"


def test_a_lost_record_is_trained_anew(settings: Settings) -> None:
    assert night(settings, "delete from ops.model_versions").done == "trained"


def test_a_challenger_that_is_worse_is_refused_for_all_to_see(settings: Settings) -> None:
    """Outcomes of the past turned round, those of the newest part as they were: what learns from them is worse."""
    champion = night(settings)
    with connect(settings) as connection:
        test = connection.execute(
            "select min(as_of) from features.churn_features where as_of > (select max(as_of) - interval 35 day from "
            "features.churn_features)"
        ).fetchall()[0][0]
    worse = night(
        settings,
        f"update features.churn_features set churned = not churned where as_of < timestamp '{test}' - interval 14 day",
        "update increments.work_done set outcome = replace(outcome, '2024-06-03', '2024-05-27')",
    )
    assert worse.done == "trained"
    assert not worse.promoted
    assert worse.decision.startswith("Refused: ")
    assert worse.version == champion.version, "the champion scores on"
    with connect(settings) as connection:
        assert newest_decision(connection, CHURN) == (worse.decision, False)
        assert connection.execute("select distinct model_version from ml.churn_predictions").fetchall() == [
            (champion.version,)
        ]
        champions = connection.execute("select is_champion, count(*) from ops.model_versions group by all order by all")
        assert champions.fetchall() == [(False, 1), (True, 1)]
    assert night(settings).done == "unchanged"


def test_a_champion_from_after_the_end_of_the_data_is_not_measured_on_what_it_knows(settings: Settings) -> None:
    """A withdrawn file takes the newest weeks along; a champion that learnt from them knows the rest."""
    champion = night(settings)
    shorter = night(
        settings,
        "delete from features.churn_features where as_of > (select max(as_of) - interval 70 day "
        "from features.churn_features)",
        "update features.churn_features set churned = null where as_of > (select max(as_of) - interval 14 day "
        "from features.churn_features)",
    )
    assert shorter.done == "trained"
    assert shorter.promoted
    assert shorter.decision == (
        f"Promoted: {champion.version} learnt from all that the newest test part asks, so it is no measure."
    )


def test_history_keeps_the_last_scores_of_each_week(settings: Settings) -> None:
    first = night(settings)
    later = "update features.churn_features set as_of = as_of + interval {} day where churned is null"
    with connect(settings) as connection:
        monday = connection.execute("select max(as_of) from features.churn_features").fetchall()[0][0]
    only_now = f"delete from features.churn_features where churned is null and as_of < '{monday:%Y-%m-%d}'"
    night(settings, only_now, later.format(1))
    night(settings, later.format(7))
    with connect(settings) as connection:
        days = connection.execute(
            "select as_of, count(*) from ml.churn_score_history group by all order by all"
        ).fetchall()
    assert days == [
        ((monday + timedelta(days=1)).date(), first.users_scored),
        ((monday + timedelta(days=8)).date(), first.users_scored),
    ]


def test_history_keeps_what_was_asked_when_a_score_was_given(settings: Settings) -> None:
    """avila.yml may ask something else by the time it is known what came of it."""
    week = "update features.churn_features set as_of = as_of + interval 7 day where churned is null"
    night(settings, week, horizon_days=HORIZON_DAYS + 1, event="signup")
    with connect(settings) as connection:
        asked = connection.execute(
            "select distinct as_of, horizon_days, event from ml.churn_score_history order by as_of"
        ).fetchall()
    assert [question for _, *question in asked] == [[HORIZON_DAYS, None], [HORIZON_DAYS + 1, "signup"]]


def test_drift_is_told_where_users_have_changed(settings: Settings) -> None:
    night(settings)
    with connect(settings) as connection:
        assert not drift_of(connection, settings, CHURN).drifted
        connection.execute("update features.churn_features set events_per_visit = 100 where churned is null")
        found = drift_of(connection, settings, CHURN)
        assert found.drifted
        assert "events per visit" in found.said
        assert drift_of(connection, settings, CHURN) == found


def test_leak_proofs_hold_and_a_leak_is_found(settings: Settings) -> None:
    with connect(settings) as connection:
        holds, said = leak_proofs(connection, settings, CHURN, horizon_days=HORIZON_DAYS)
        assert holds, said
        assert "embargo" not in said
        assert "at least 14 days apart" in said
        holds, said = leak_proofs(connection, settings, CHURN, horizon_days=HORIZON_DAYS + 1)
        assert not holds
        assert "begins on" in said


def test_another_horizon_and_a_lost_or_broken_model_are_trained_on(settings: Settings) -> None:
    assert night(settings, horizon_days=HORIZON_DAYS + 1).done == "trained"
    home = settings.root / night(settings).home
    (home / "metadata.json").unlink()
    assert night(settings).done == "trained"
    for file, days in [(next(home.glob("model.*")), 900), (home / "metadata.json", 901)]:
        file.write_bytes(b"\xff broken")
        change = f"update features.churn_features set tenure_days = {days} where churned is null"
        again = night(settings, change)
        assert again.done == "trained"
        assert again.decision == f"Promoted: {home.name}, which scored before, is gone, broken or of other features."


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
