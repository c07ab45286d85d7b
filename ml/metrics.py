"""How good probabilities are: ranking, sharpness, calibration and lift."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from ml.snapshots import Array

CALIBRATION_BINS = 10
LIFTS = {"lift_5": 0.05, "lift_10": 0.1, "lift_20": 0.2}


def evaluate(y: Array, probability: Array) -> dict[str, float]:
    """Measures probabilities against outcomes.

    `log_loss`, `brier` and `calibration_error` always exist; `roc_auc`, `pr_auc` and the lifts at 5, 10 and 20 %
    need both outcomes and are left out otherwise. (`pr_auc` is average precision: no interpolation.)

    Args:
        y: Shape (n,), 0 or 1; n at least 1.
        probability: Shape (n,), of outcome 1.

    Raises:
        ValueError: There are no rows, or a probability lies outside [0, 1] or is NaN.
    """
    if len(y) == 0:
        raise ValueError("no rows to measure on")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("a probability lies outside [0, 1] or is NaN")
    y = np.asarray(y, dtype=np.int8)
    p = np.asarray(probability, dtype=np.float64)
    measured = {
        "log_loss": float(log_loss(y, p, labels=[0, 1])),
        "brier": float(brier_score_loss(y, p, labels=[0, 1], pos_label=1)),
        "calibration_error": calibration_error(y, p),
    }
    if 0 < y.sum() < len(y):
        measured["roc_auc"] = float(roc_auc_score(y, p))
        measured["pr_auc"] = float(average_precision_score(y, p))
        measured |= {name: lift(y, p, share=share) for name, share in LIFTS.items()}
    return measured


def reliability(y: Array, probability: Array, *, bins: int = CALIBRATION_BINS) -> tuple[Array, Array, Array]:
    """Mean prediction, observed rate and row count of bins holding about equally many rows each.

    Edges are quantiles of the predictions, so equal predictions always share a bin and there may be fewer
    bins than asked for.
    """
    p = np.asarray(probability, dtype=np.float64)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, p, side="right")
    rows = np.bincount(bin_of, minlength=len(edges) + 1)
    predicted = np.bincount(bin_of, weights=p, minlength=len(edges) + 1)
    observed = np.bincount(bin_of, weights=np.asarray(y, dtype=np.float64), minlength=len(edges) + 1)
    held = rows > 0
    return predicted[held] / rows[held], observed[held] / rows[held], rows[held]


def calibration_error(y: Array, probability: Array, *, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean over rows of |mean prediction - observed rate| of the row's bin."""
    predicted, observed, rows = reliability(y, probability, bins=bins)
    return float(np.sum(np.abs(predicted - observed) * rows) / rows.sum())


def gains(y: Array, probability: Array) -> tuple[Array, Array]:
    """Share of rows taken from the highest probability down, and the share of positives among them.

    Only ends of ties are points: within a tie rows are indistinguishable, and the straight line between
    points is what taking them in random order yields on average. Both arrays start at 0 and end at 1.
    """
    order = np.argsort(-probability, kind="stable")
    p = probability[order]
    ends = np.append(np.flatnonzero(p[1:] != p[:-1]), len(p) - 1)
    found = np.cumsum(np.asarray(y, dtype=np.float64)[order])[ends]
    return np.append(0.0, (ends + 1) / len(p)), np.append(0.0, found / found[-1])


def lift(y: Array, probability: Array, *, share: float) -> float:
    """How many times more positives the top `share` of rows holds than an equally large random pick.

    Rows tied at the threshold count in proportion.
    """
    taken, found = gains(y, probability)
    return float(np.interp(share, taken, found) / share)


def row_log_loss(y: Array, probability: Array) -> Array:
    """The log loss of each row, shape (n,); a probability of 0 or 1 counts as the nearest other double."""
    p = np.clip(np.asarray(probability, dtype=np.float64), np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return -np.log(np.where(np.asarray(y) > 0, p, 1 - p))


def mean_log_loss(y: Array, probability: Array) -> float:
    """The mean log loss."""
    return float(row_log_loss(y, probability).mean())


class Weighted:
    """The metrics of `evaluate` where rows count a number of times; sorts once, so that each weighting is cheap.

    Args:
        y: Shape (n,), 0 or 1.
        probability: Shape (n,), of outcome 1.
    """

    def __init__(self, y: Array, probability: Array) -> None:
        p = np.asarray(probability, dtype=np.float64)
        self._order = np.argsort(-p, kind="stable")
        p, y = p[self._order], np.asarray(y, dtype=np.float64)[self._order]
        self._starts = np.append(0, np.flatnonzero(p[1:] != p[:-1]) + 1)
        self._y, self._p = y, p
        self._log_loss, self._brier = row_log_loss(y, p), (p - y) ** 2
        edges = np.unique(np.quantile(p, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
        self._bin, self._bins = np.searchsorted(edges, p, side="right"), len(edges) + 1

    def __call__(self, weights: Array) -> dict[str, float]:
        """The metrics where row i counts `weights[i]` times; those that need both outcomes only where both have weight.

        The bins of the calibration error are those of the rows counted once.
        """
        weight = np.asarray(weights, dtype=np.float64)[self._order]
        total = weight.sum()
        surplus = np.bincount(self._bin, weights=weight * (self._p - self._y), minlength=self._bins)
        measured = {
            "log_loss": float(weight @ self._log_loss / total),
            "brier": float(weight @ self._brier / total),
            "calibration_error": float(np.abs(surplus).sum() / total),
        }
        positive = np.add.reduceat(weight * self._y, self._starts)
        rows = np.add.reduceat(weight, self._starts)
        found, taken = np.cumsum(positive), np.cumsum(rows)
        if 0 < found[-1] < total:
            negative = rows - positive
            # A positive wins against all negatives with a lower probability, and half of those with the same.
            wins = positive @ ((total - found[-1]) - np.cumsum(negative) + negative / 2)
            measured["roc_auc"] = float(wins / (found[-1] * (total - found[-1])))
            measured["pr_auc"] = float(positive @ (found / np.maximum(taken, 1e-300)) / found[-1])
            shares, gained = np.append(0.0, taken / total), np.append(0.0, found / found[-1])
            measured |= {name: float(np.interp(share, shares, gained) / share) for name, share in LIFTS.items()}
        return measured
