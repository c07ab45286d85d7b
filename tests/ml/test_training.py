import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ml.churn import CHURN
from ml.conversion import CONVERSION
from ml.leaks import permuted_labels_are_not_learnt
from ml.spec import ModelSpec
from ml.training import TrainingResult, train
from tests.ml.conftest import HORIZON_DAYS
from tests.ml.synthetic import snapshots


def with_truth(result: TrainingResult, frame: pd.DataFrame) -> pd.DataFrame:
    truth = frame[["user_key", "as_of", "truth"]].astype({"as_of": result.test["as_of"].dtype})
    joined = result.test.merge(truth, on=["user_key", "as_of"], validate="one_to_one")
    assert len(joined) == len(result.test)
    return joined


@pytest.mark.parametrize("spec", [CHURN, CONVERSION])
def test_the_trees_come_near_the_best_achievable(spec: ModelSpec) -> None:
    frame = snapshots(label=spec.label, users=3000, horizon_days=HORIZON_DAYS, seed=1)
    result = train(frame, spec, horizon_days=HORIZON_DAYS)
    assert result.verdict == "model"
    assert result.estimator == "xgboost"
    test = with_truth(result, frame)
    best = roc_auc_score(test[spec.label], test["truth"])
    assert best - 0.02 < result.metrics["xgboost.roc_auc"] < best + 0.01
    assert result.metrics["xgboost.calibration_error"] < 0.03
    assert result.metrics["xgboost.roc_auc"] > result.metrics["recency_rule.roc_auc"] > 0.6
    assert result.metrics["base_rate.roc_auc"] == 0.5


def test_permuted_labels_are_not_learnt(churn_frame: pd.DataFrame) -> None:
    frame = churn_frame.copy()
    rng = np.random.default_rng(0)
    known = frame["churned"].notna()
    frame.loc[known, "churned"] = (
        frame[known].groupby("as_of")["churned"].transform(lambda labels: rng.permutation(labels.to_numpy()))
    )
    result = train(frame, CHURN, horizon_days=HORIZON_DAYS)
    # Four standard errors of the AUC of 6,000 uninformative scores are 0.03.
    assert result.metrics["xgboost.roc_auc"] == pytest.approx(0.5, abs=0.03)
    assert result.metrics["logistic_regression.roc_auc"] == pytest.approx(0.5, abs=0.03)
    assert result.metrics["recency_rule.roc_auc"] == pytest.approx(0.5, abs=0.03)


def test_permuted_labels_prove_nothing_where_dates_have_one_outcome_each(churn_frame: pd.DataFrame) -> None:
    """As before and after a long silence: of some dates everybody left, of the others nobody."""
    silent = churn_frame["as_of"] > churn_frame["as_of"].median()
    frame = churn_frame.assign(churned=silent.where(churn_frame["churned"].notna()))
    proof = permuted_labels_are_not_learnt(frame, CHURN)
    assert proof.holds
    assert "too few" in proof.said


def test_what_is_not_known_yet_cannot_change_the_predictor(churn_frame, churn_result: TrainingResult) -> None:
    """Outcomes of the test part and all embargoed rows may be anything."""
    split = churn_result.split
    used = pd.to_datetime(split.before_test)
    frame = churn_frame.copy()
    unseen = ~frame["as_of"].isin(used) & frame["churned"].notna()
    assert unseen.sum() > 6_000
    frame.loc[unseen, "churned"] = ~frame.loc[unseen, "churned"]
    frame.loc[unseen & ~frame["as_of"].isin(pd.to_datetime(split.test)), "recency_days"] = 1e6
    other = train(frame, CHURN, horizon_days=HORIZON_DAYS)
    assert other.data_fingerprint != churn_result.data_fingerprint
    probabilities = ["xgboost", "recency_rule", "logistic_regression", "base_rate"]
    pd.testing.assert_frame_equal(other.test[probabilities], churn_result.test[probabilities])


def test_parts_are_ordered_in_time_with_an_embargo(churn_result: TrainingResult) -> None:
    parts = list(churn_result.split.parts().items())
    assert [name for name, _ in parts] == ["train", "validation", "calibration", "test"]
    for (_, earlier), (_, later) in itertools.pairwise(parts):
        assert earlier.max() + np.timedelta64(HORIZON_DAYS, "D") <= later.min()
    assert churn_result.rows == {name: 2000 * len(cutoffs) for name, cutoffs in parts}


def test_training_again_is_the_same_training(small_frame: pd.DataFrame) -> None:
    one = train(small_frame, CHURN, horizon_days=HORIZON_DAYS)
    shuffled = small_frame.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)
    other = train(shuffled, replace(CHURN), horizon_days=HORIZON_DAYS, n_jobs=1)
    assert other.version == one.version
    assert other.metrics == one.metrics
    assert other.predictor.to_bytes() == one.predictor.to_bytes()
    assert other.trained_at > one.trained_at


def test_versions_differ_where_anything_that_matters_does(small_frame: pd.DataFrame) -> None:
    spec = replace(CHURN, trees=replace(CHURN.trees, max_rounds=5))
    newer = small_frame.copy()
    newer.loc[0, "recency_days"] += 1
    versions = [
        train(small_frame, spec, horizon_days=HORIZON_DAYS).version,
        train(small_frame, spec, horizon_days=HORIZON_DAYS, seed=1).version,
        train(small_frame, spec, horizon_days=HORIZON_DAYS + 1).version,
        train(newer, spec, horizon_days=HORIZON_DAYS).version,
        train(small_frame, replace(spec, falling=()), horizon_days=HORIZON_DAYS).version,
    ]
    digests = [version.rpartition("-")[2] for version in versions]
    assert len(set(digests)) == len(versions)


def test_a_rule_the_trees_do_not_beat_scores_on() -> None:
    """Outcomes that depend on recency alone, and trees that are forbidden to follow it."""
    rng = np.random.default_rng(0)
    frame = snapshots(label="churned", users=150, horizon_days=HORIZON_DAYS, seed=2)
    jump = np.where(frame["recency_days"] > 10, 0.9, 0.1)
    known = frame["churned"].notna()
    frame.loc[known, "churned"] = (rng.random(len(frame)) < jump)[known]
    contrary = replace(CHURN, rising=(), falling=("recency_days",))
    result = train(frame, contrary, horizon_days=HORIZON_DAYS)
    assert result.verdict == "simple_rule"
    assert result.estimator == "recency_rule"
    assert result.version.startswith("recency_rule-")
    assert "the rule scores" in result.explanation
    losses = {key: value for key, value in result.metrics.items() if key.endswith(".log_loss")}
    assert min(losses, key=losses.get) == "recency_rule.log_loss"


def degenerate_frames() -> dict[str, tuple[pd.DataFrame, str]]:
    frame = snapshots(label="churned", users=30, cutoffs=24, horizon_days=HORIZON_DAYS)
    alike = frame.assign(churned=frame["churned"].where(frame["churned"].isna(), True))
    few = snapshots(label="churned", users=5, cutoffs=24, horizon_days=HORIZON_DAYS)
    return {
        "no rows": (frame.head(0), "no snapshot has its whole 14-day horizon"),
        "no labels": (frame[frame["churned"].isna()], "no snapshot has its whole 14-day horizon"),
        "one class": (alike, "all 660 known outcomes are the same"),
        "five users": (few, "holds only"),
        "one date": (frame[frame["as_of"] == frame["as_of"].min()], "1 labelled as-of date from 2023-12-25"),
        "two weeks": (
            frame[frame["as_of"] <= "2024-01-01"],
            "cannot hold a training and a test part 14 days",
        ),
    }


@pytest.mark.parametrize("case", degenerate_frames())
def test_too_little_to_learn_from_gives_the_base_rate(case: str) -> None:
    frame, why = degenerate_frames()[case]
    result = train(frame, CHURN, horizon_days=HORIZON_DAYS)
    assert result.verdict == "no_model"
    assert result.version == "base_rate"
    assert why in result.explanation
    assert result.metrics == {}
    positives, labelled = int(frame["churned"].sum()), int(frame["churned"].notna().sum())
    probe = np.zeros((2, len(CHURN.features)), dtype=np.float32)
    assert result.predictor.predict_proba(probe)[:, 1].tolist() == [(positives + 1) / (labelled + 2)] * 2
    assert result.to_row()["n_test"] == 0


def test_a_short_history_trains_with_fewer_parts() -> None:
    frame = snapshots(label="churned", users=300, cutoffs=16, horizon_days=30, seed=4)
    result = train(frame, CHURN, horizon_days=30)
    assert list(result.split.parts()) == ["train", "test"]
    assert result.rounds == CHURN.trees.rounds_without_validation
    assert result.metrics["xgboost.roc_auc"] > 0.7


def test_the_row_for_sql_is_flat_and_whole(churn_result: TrainingResult) -> None:
    row = churn_result.to_row(path="models/churn/x")
    assert json.loads(row["metrics"]) == churn_result.metrics
    assert json.loads(row["features"]) == list(CHURN.feature_names)
    assert json.loads(row["params"])["max_depth"] == churn_result.spec.trees.max_depth
    assert row["n_train"] == churn_result.rows["train"]
    assert row["trained_at"].tzinfo is None
    assert row["path"] == "models/churn/x"


def test_broken_frames_are_refused_rather_than_scored_by_the_base_rate(small_frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="lack recency_days"):
        train(small_frame.drop(columns="recency_days"), CHURN, horizon_days=HORIZON_DAYS)
    with pytest.raises(ValueError, match="at least 1 day"):
        train(small_frame, CHURN, horizon_days=0)
