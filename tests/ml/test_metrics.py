import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from ml.metrics import calibration_error, evaluate, gains, lift, reliability

# Coarse probabilities make ties common.
ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=60)


def arrays(rows: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows], dtype=float), np.array([row[1] / 20 for row in rows])


@given(ROWS)
def test_ranking_and_losses_equal_their_definitions(rows) -> None:
    y, p = arrays(rows)
    measured = evaluate(y, p)
    assert measured["brier"] == pytest.approx(np.mean((p - y) ** 2))
    epsilon = np.finfo(float).eps
    clipped = np.clip(p, epsilon, 1 - epsilon)
    assert measured["log_loss"] == pytest.approx(-np.mean(np.log(np.where(y == 1, clipped, 1 - clipped))))
    if 0 < y.sum() < len(y):
        positive, negative = p[y == 1][:, None], p[y == 0][None, :]
        wins = (positive > negative) + 0.5 * (positive == negative)
        assert measured["roc_auc"] == pytest.approx(wins.mean())
    else:
        assert set(measured) == {"log_loss", "brier", "calibration_error"}


@given(ROWS, st.randoms(use_true_random=False))
def test_no_metric_depends_on_row_order(rows, random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert evaluate(*arrays(shuffled)) == pytest.approx(evaluate(*arrays(rows)))


def test_calibration_error_by_hand() -> None:
    y = np.array([0, 0, 1, 1, 0, 1, 1, 1, 1, 0])
    p = np.array([0.2] * 5 + [0.9] * 5)
    # Two bins of five: |0.2 - 2/5| and |0.9 - 4/5|, equally weighted.
    assert calibration_error(y, p) == pytest.approx((0.2 + 0.1) / 2)
    assert calibration_error(y, np.full(10, 0.5)) == pytest.approx(abs(0.5 - 0.6))


def test_reliability_equals_scikit_learn_s_quantile_bins_without_ties() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    y = (rng.random(5000) < p**2).astype(float)
    predicted, observed, rows = reliability(y, p)
    expected_observed, expected_predicted = calibration_curve(y, p, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(observed, expected_observed)
    np.testing.assert_allclose(predicted, expected_predicted)
    assert rows.sum() == 5000


def test_true_probabilities_are_calibrated_and_distorted_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(50_000)
    y = rng.random(50_000) < p
    assert calibration_error(y, p) < 0.01
    assert calibration_error(y, p**2) > 0.1


def test_lift_by_hand() -> None:
    y = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    p = np.arange(10)[::-1] / 10
    assert lift(y, p, share=0.1) == pytest.approx(5.0)
    assert lift(y, p, share=0.2) == pytest.approx(5.0)
    assert lift(y, p, share=0.5) == pytest.approx(2.0)
    # Ties: any two of the four rows, so half of the two positives at 20 %.
    tied = np.array([0.9] * 4 + [0.1] * 6)
    assert lift(y, tied, share=0.2) == pytest.approx(2.5)
    assert lift(y, np.full(10, 0.3), share=0.1) == pytest.approx(1.0)


@given(ROWS.filter(lambda rows: any(row[0] for row in rows)))
def test_gains_rise_from_nothing_to_everything(rows) -> None:
    taken, found = gains(*arrays(rows))
    assert (taken[0], found[0], taken[-1], found[-1]) == (0, 0, 1, 1)
    assert (np.diff(taken) > 0).all()
    assert (np.diff(found) >= 0).all()


def test_what_is_no_probability_is_refused() -> None:
    for bad in (np.nan, 1.2, -0.1):
        with pytest.raises(ValueError, match="outside"):
            evaluate(np.array([0, 1]), np.array([0.5, bad]))
    with pytest.raises(ValueError, match="no rows"):
        evaluate(np.array([]), np.array([]))
