import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.churn import CHURN
from ml.scoring import deciles, score
from ml.training import TrainingResult, train
from tests.ml.conftest import HORIZON_DAYS


@pytest.fixture(scope="module")
def scores(churn_result: TrainingResult, churn_now: pd.DataFrame) -> pd.DataFrame:
    return score(churn_result, churn_now)


def test_every_user_is_scored_once(scores: pd.DataFrame, churn_now: pd.DataFrame) -> None:
    assert scores["user_key"].tolist() == sorted(churn_now["user_key"])
    assert scores["probability"].between(0, 1).all()
    assert set(scores["decile"]) == set(range(1, 11))
    assert scores["model_version"].str.startswith("xgboost-").all()
    assert not scores["is_base_rate"].any()


def test_scores_order_users_as_the_truth_does(scores: pd.DataFrame, churn_now: pd.DataFrame) -> None:
    both = scores.merge(churn_now[["user_key", "truth"]], on="user_key")
    assert both["probability"].corr(both["truth"], method="spearman") > 0.95
    assert (both["probability"] - both["truth"]).abs().mean() < 0.06


def test_reasons_are_a_few_plain_sentences(scores: pd.DataFrame) -> None:
    for reasons in scores["top_reasons"]:
        assert 1 <= len(reasons) <= 3
        assert all(reason.startswith(("higher risk: ", "lower risk: ")) for reason in reasons)
    riskiest = scores.loc[scores["probability"].idxmax(), "top_reasons"]
    assert riskiest[0].startswith("higher risk: ")


def test_row_order_does_not_matter(scores: pd.DataFrame, churn_result: TrainingResult, churn_now: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(score(churn_result, churn_now.sample(frac=1, random_state=1)), scores)


def test_approximate_reasons_agree_with_exact_ones(
    monkeypatch, scores: pd.DataFrame, churn_result: TrainingResult, churn_now: pd.DataFrame
) -> None:
    monkeypatch.setattr("ml.scoring.EXACT_REASONS_USERS", 0)
    monkeypatch.setattr("ml.scoring._CHUNK", 777)
    other = score(churn_result, churn_now)
    same = [one[0] == two[0] for one, two in zip(scores["top_reasons"], other["top_reasons"], strict=True)]
    assert np.mean(same) > 0.9
    pd.testing.assert_frame_equal(other.drop(columns="top_reasons"), scores.drop(columns="top_reasons"))


def test_duckdb_reads_scores_with_the_types_of_the_marts(scores: pd.DataFrame) -> None:
    with duckdb.connect() as connection:
        for frame in (scores, scores.head(0)):
            connection.register("scores", frame)
            described = connection.execute("describe select * from scores").fetchall()
            assert {name: kind for name, kind, *_ in described} == {
                "user_key": "VARCHAR",
                "as_of": "DATE",
                "probability": "DOUBLE",
                "decile": "BIGINT",
                "top_reasons": "VARCHAR[]",
                "model_version": "VARCHAR",
                "is_base_rate": "BOOLEAN",
            }


def test_the_base_rate_is_flagged_and_gives_no_reasons(churn_now: pd.DataFrame) -> None:
    result = train(churn_now, CHURN, horizon_days=HORIZON_DAYS)
    scores = score(result, churn_now)
    assert scores["is_base_rate"].all()
    assert (scores["model_version"] == "base_rate").all()
    assert (scores["probability"] == 0.5).all()
    assert scores["decile"].nunique() == 1
    assert (scores["top_reasons"].map(len) == 0).all()


def test_nobody_to_score_gives_an_empty_table(churn_result: TrainingResult, churn_now: pd.DataFrame) -> None:
    empty = score(churn_result, churn_now.head(0))
    assert len(empty) == 0
    assert list(empty.columns) == list(score(churn_result, churn_now.head(3)).columns)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_deciles_follow_probabilities_and_ties_share(values) -> None:
    p = np.array(values) / 30
    decile = deciles(p, np.full(len(p), np.datetime64("2024-01-01")))
    assert ((decile >= 1) & (decile <= 10)).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(decile[order]) >= 0).all()
    for value in set(values):
        rows = p == value / 30
        assert len(set(decile[rows])) == 1
        # The middle of the ties in the ranking, as a share of all rows.
        middle = (p < value / 30).mean() + rows.mean() / 2
        assert decile[rows][0] == min(int(round(middle * 10, 9)) + 1, 10)


@given(st.integers(1, 300), st.randoms(use_true_random=False))
def test_without_ties_deciles_hold_a_tenth_each(rows, random) -> None:
    ranks = list(range(rows))
    random.shuffle(ranks)
    counts = np.bincount(deciles(np.array(ranks) / rows, np.zeros(rows)), minlength=11)[1:]
    assert counts.max() - counts.min() <= 1


def test_deciles_are_per_as_of_date() -> None:
    p = np.concatenate([np.linspace(0, 0.1, 10), np.linspace(0.9, 1, 10)])
    assert deciles(p, np.repeat([1, 2], 10)).tolist() == [*range(1, 11)] * 2
