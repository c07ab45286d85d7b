import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.bootstrap import draws, intervals, paired_difference
from ml.metrics import Weighted, evaluate

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(0, 3)), min_size=2, max_size=40)


@given(ROWS)
def test_rows_that_count_twice_are_rows_that_stand_there_twice(rows) -> None:
    y, p, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    p /= 20
    if not weights.sum():
        return
    expected = evaluate(np.repeat(y, weights.astype(int)), np.repeat(p, weights.astype(int)))
    measured = Weighted(y, p)(weights)
    # The bins of the calibration error are those of the unweighted rows.
    expected.pop("calibration_error")
    measured.pop("calibration_error")
    assert measured == pytest.approx(expected, abs=1e-12)


@given(ROWS)
def test_unweighted_the_metrics_are_those_of_evaluate(rows) -> None:
    y, p, _ = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assert Weighted(y, p / 20)(np.ones(len(y))) == pytest.approx(evaluate(y, p / 20), abs=1e-12)


def test_users_are_drawn_whole() -> None:
    users = np.repeat(["a", "b", "c"], [3, 1, 2])
    for weights in draws(users):
        assert len(set(weights[:3])) == 1
        assert weights[4] == weights[5]
        assert weights[[0, 3, 4]].sum() == 3


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Snapshots that repeat a user tell nothing new: intervals over users stay as wide, and hold what they should."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        p = rng.random(300)
        y = (rng.random(300) < p).astype(float)
        users = np.repeat(np.arange(300).astype(str), 4)
        low, high = intervals(np.repeat(y, 4), np.repeat(p, 4), users, seed=seed)["brier"]
        # The mean of p(1 - p) over uniform p.
        held += low <= 1 / 6 <= high
    # Binomial(60, 0.95) is below 51 once in a thousand times.
    assert held >= 51


def test_a_paired_difference_sees_what_single_intervals_hide() -> None:
    rng = np.random.default_rng(0)
    loss = rng.exponential(1.0, 2_000)
    users = np.arange(2_000).astype(str)
    mean, low, high = paired_difference(loss + 0.01, loss, users)
    assert mean == pytest.approx(0.01)
    assert 0.0099 < low <= high < 0.0101
    assert paired_difference(loss, loss, users) == (0.0, 0.0, 0.0)
