"""Calibration: from a raw score in log-odds to a probability that means what it says.

A calibrator is learnt on a slice later than the trees' own, and never reverses their ranking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ml.snapshots import Array


@dataclass(frozen=True, kw_only=True)
class Sigmoid:
    """p = 1 / (1 + exp(-(slope · margin + intercept))), slope ≥ 0. The default leaves scores as they are."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, margin: Array) -> Array:
        """Probabilities of the same shape."""
        odds = self.slope * np.asarray(margin, dtype=np.float64) + self.intercept
        # exp(-log(1 + exp(-odds))): no overflow at either end.
        return np.asarray(np.exp(-np.logaddexp(0.0, -odds)))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A rising piecewise linear curve through (margins, probabilities), flat beyond its ends."""

    margins: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, margin: Array) -> Array:
        """Probabilities of the same shape."""
        return np.interp(np.asarray(margin, dtype=np.float64), self.margins, self.probabilities)


Calibrator = Sigmoid | Steps


def fit_calibrator(margin: Array, y: Array, *, method: Literal["platt", "isotonic"]) -> Calibrator:
    """Learns a calibrator.

    Platt scaling is logistic regression on the margin with his smoothed targets, (n₊+1)/(n₊+2) and
    1/(n₋+2), so that separable outcomes keep finite odds (Platt 1999, Probabilistic Outputs for Support
    Vector Machines, §2.2). Isotonic regression is pooled adjacent violators, its ends bounded in the same
    way (Zadrozny & Elkan 2002).

    Args:
        margin: Shape (n,), raw scores in log-odds.
        y: Shape (n,), outcomes 0 or 1, both present.
        method: `platt` or `isotonic`.
    """
    positives = float(y.sum())
    negatives = len(y) - positives
    low, high = 1 / (negatives + 2), (positives + 1) / (positives + 2)
    margin = np.asarray(margin, dtype=np.float64)
    if method == "isotonic":
        curve = IsotonicRegression(out_of_bounds="clip").fit(margin, y)
        return Steps(
            margins=tuple(curve.X_thresholds_.tolist()),
            probabilities=tuple(np.clip(curve.y_thresholds_, low, high).tolist()),
        )
    target = np.where(y > 0, high, low)
    # A fractional target is the same as both outcomes, weighted by it and by what it leaves.
    line = LogisticRegression(C=np.inf, max_iter=1000).fit(
        np.concatenate([margin, margin])[:, None],
        np.repeat([1, 0], len(y)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope <= 0:
        # The slice contradicts the ranking: only its overall rate is worth keeping.
        return Sigmoid(slope=0.0, intercept=float(np.log(target.mean() / (1 - target.mean()))))
    return Sigmoid(slope=slope, intercept=intercept)


def calibrator_to_dict(calibrator: Calibrator) -> dict[str, Any]:
    """A JSON-ready form; floats survive exactly."""
    return {"kind": "sigmoid" if isinstance(calibrator, Sigmoid) else "steps", **asdict(calibrator)}


def calibrator_from_dict(state: dict[str, Any]) -> Calibrator:
    """The calibrator `calibrator_to_dict` wrote."""
    if state["kind"] == "sigmoid":
        return Sigmoid(slope=state["slope"], intercept=state["intercept"])
    return Steps(margins=tuple(state["margins"]), probabilities=tuple(state["probabilities"]))
