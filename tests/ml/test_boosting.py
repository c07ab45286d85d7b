from dataclasses import replace

import numpy as np
import pytest

from ml.boosting import BoostedTrees
from ml.churn import CHURN
from ml.snapshots import Snapshots
from ml.spec import TreeParameters
from ml.training import TrainingResult


@pytest.fixture(scope="module")
def trees(churn_result: TrainingResult) -> BoostedTrees:
    assert isinstance(churn_result.predictor, BoostedTrees)
    return churn_result.predictor


@pytest.fixture(scope="module")
def x(churn_now) -> np.ndarray:
    return Snapshots.from_frame(churn_now, CHURN, with_label=False).x[:300]


@pytest.mark.parametrize(("feature", "sign"), [("recency_days", 1), ("active_days_30d", -1)])
def test_constrained_features_move_the_probability_one_way_only(
    trees: BoostedTrees, x: np.ndarray, feature: str, sign: int
) -> None:
    column = CHURN.feature_names.index(feature)
    steps = []
    for value in np.linspace(0, 90, 40):
        moved = x.copy()
        moved[:, column] = value
        steps.append(trees.predict_proba(moved)[:, 1])
    change = sign * np.diff(steps, axis=0)
    assert (change >= -1e-9).all()
    assert (change > 1e-3).any(), "the feature matters at all"


@pytest.mark.parametrize("exact", [True, False])
def test_contributions_add_up_to_the_calibrated_log_odds(trees: BoostedTrees, x: np.ndarray, exact: bool) -> None:
    p = trees.predict_proba(x)[:, 1]
    margin = (np.log(p / (1 - p)) - trees.calibrator_.intercept) / trees.calibrator_.slope
    rest = margin - trees.contributions(x, exact=exact).sum(axis=1)
    assert np.ptp(rest) < 1e-3, "all that is left is the average's log-odds"


def test_shap_values_equal_their_definition() -> None:
    """Shapley's sum over coalitions, on two features and conditional means along the trees' own paths."""
    rng = np.random.default_rng(0)
    spec = replace(
        CHURN,
        features=CHURN.features[:2],
        rising=(),
        falling=(),
        trees=TreeParameters(max_depth=1, rounds_without_validation=10, subsample=1, colsample_bytree=1),
    )
    x = rng.normal(size=(500, 2)).astype(np.float32)
    y = (rng.random(500) < 1 / (1 + np.exp(-2 * x[:, 0] + x[:, 1]))).astype(float)
    model = BoostedTrees(spec, n_jobs=1).fit(x, y)
    # Stumps have no interactions, so a SHAP value is the stump's output less its mean: centred differences
    # of the margin along one feature must equal differences of that feature's SHAP value.
    one = x.copy()
    one[:, 1] = x[0, 1]
    shap = model.contributions(one)
    margin = model.margin(one)
    np.testing.assert_allclose(margin - margin[0], shap[:, 0] - shap[0, 0], atol=1e-4)
    np.testing.assert_allclose(shap[:, 1], shap[0, 1], atol=1e-6)


def test_early_stopping_keeps_the_round_with_the_least_validation_loss() -> None:
    rng = np.random.default_rng(0)
    spec = replace(CHURN, trees=TreeParameters(max_depth=6, min_child_weight=0, learning_rate=0.5))
    x = rng.normal(size=(400, len(spec.features))).astype(np.float32)
    y = (rng.random(400) < 1 / (1 + np.exp(-x[:, 3]))).astype(float)
    later = rng.normal(size=x.shape).astype(np.float32)
    outcome = (rng.random(400) < 1 / (1 + np.exp(-later[:, 3]))).astype(float)
    model = BoostedTrees(spec, n_jobs=1).fit(x, y, validation=(later, outcome))
    assert model.rounds_ < 10, "noise is soon all that is left to learn"

    def loss(rounds: int) -> float:
        margin = model.booster_.inplace_predict(
            later, iteration_range=(0, rounds), predict_type="margin", validate_features=False
        )
        return float(np.mean(np.logaddexp(0, np.where(outcome == 1, -margin, margin))))

    losses = [loss(rounds) for rounds in range(1, model.rounds_ + 1)]
    assert losses[-1] == min(losses)


def test_threads_do_not_change_the_trees() -> None:
    rng = np.random.default_rng(0)
    spec = replace(CHURN, trees=TreeParameters(rounds_without_validation=3))
    x = rng.normal(size=(60_000, len(spec.features))).astype(np.float32)
    y = (rng.random(len(x)) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    one, two = (BoostedTrees(spec, n_jobs=jobs).fit(x, y).to_bytes() for jobs in (1, 2))
    assert one == two


def test_the_file_holds_trees_and_calibrator(trees: BoostedTrees, x: np.ndarray) -> None:
    again = BoostedTrees.from_bytes(CHURN, trees.to_bytes())
    assert again.calibrator_ == trees.calibrator_
    assert again.rounds_ == trees.rounds_
    np.testing.assert_array_equal(again.predict_proba(x), trees.predict_proba(x))


def test_trees_of_other_features_are_refused(trees: BoostedTrees) -> None:
    with pytest.raises(ValueError, match="other features"):
        BoostedTrees.from_bytes(replace(CHURN, features=CHURN.features[::-1]), trees.to_bytes())


def test_nobody_to_score_is_no_error(trees: BoostedTrees, x: np.ndarray) -> None:
    assert trees.predict_proba(x[:0]).shape == (0, 2)
    assert trees.contributions(x[:0]).shape == (0, x.shape[1])
