import json

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from ml.calibration import (
    Sigmoid,
    Steps,
    calibrator_from_dict,
    calibrator_to_dict,
    fit_calibrator,
)
from ml.metrics import calibration_error


def draw(rows: int, *, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, rows)
    return margin, (rng.random(rows) < 1 / (1 + np.exp(-(slope * margin + intercept)))).astype(float)


def test_platt_finds_the_distortion_it_was_given() -> None:
    margin, y = draw(200_000, slope=0.5, intercept=-1.0)
    fitted = fit_calibrator(margin, y, method="platt")
    assert isinstance(fitted, Sigmoid)
    assert fitted.slope == pytest.approx(0.5, abs=0.02)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.02)


def test_isotonic_equals_scikit_learn_s_between_its_bounds() -> None:
    margin, y = draw(5_000, slope=1.0, intercept=0.5)
    fitted = fit_calibrator(margin, y, method="isotonic")
    probe = np.linspace(-8, 8, 500)
    expected = IsotonicRegression(out_of_bounds="clip").fit(margin, y).predict(probe)
    np.testing.assert_allclose(fitted(probe), np.clip(expected, 1 / (5_000 - y.sum() + 2), 1), atol=2e-3)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_improves_later_probabilities_and_keeps_the_ranking(method: str) -> None:
    margin, y = draw(5_000, slope=0.4, intercept=0.8)
    fitted = fit_calibrator(margin, y, method=method)
    later, outcome = draw(20_000, slope=0.4, intercept=0.8, seed=1)
    assert calibration_error(outcome, fitted(later)) < 0.02 < calibration_error(outcome, Sigmoid()(later))
    probe = np.sort(later)
    assert (np.diff(fitted(probe)) >= 0).all()
    assert ((fitted(probe * 1e6) >= 0) & (fitted(probe * 1e6) <= 1)).all()


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_separable_outcomes_keep_finite_odds(method: str) -> None:
    margin = np.array([-2.0, -1.0, 1.0, 2.0])
    fitted = fit_calibrator(margin, np.array([0.0, 0.0, 1.0, 1.0]), method=method)
    p = fitted(margin)
    assert ((p > 0.0) & (p < 1.0)).all()
    assert p[0] == pytest.approx(0.25, abs=0.1)


def test_a_slice_that_contradicts_the_ranking_leaves_only_its_rate() -> None:
    margin, y = draw(2_000, slope=-1.0, intercept=0.0)
    fitted = fit_calibrator(margin, y, method="platt")
    assert np.ptp(fitted(margin)) == 0
    assert fitted(margin)[0] == pytest.approx(y.mean(), abs=0.01)


@pytest.mark.parametrize(
    "calibrator",
    [
        Sigmoid(),
        Sigmoid(slope=1 / 3, intercept=-0.1),
        Steps(margins=(-1.0, 1 / 3), probabilities=(0.1, 2 / 3)),
    ],
)
def test_a_calibrator_survives_json_exactly(calibrator: Sigmoid | Steps) -> None:
    assert calibrator_from_dict(json.loads(json.dumps(calibrator_to_dict(calibrator)))) == calibrator
