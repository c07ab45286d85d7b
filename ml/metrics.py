"""How good probabilities are: ranking, sharpness, calibration and lift."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from ml.snapshots import Array

CALIBRATION_BINS = 10


def evaluate(y: Array, probability: Array) -> dict[str, float]:
    """Measures probabilities against outcomes.

    `log_loss`, `brier` and `calibration_error` always exist; `roc_auc`, `pr_auc` and `lift_10` need both
    outcomes and are left out otherwise. (`pr_auc` is average precision: no interpolation.)

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
        measured["lift_10"] = lift(y, p, share=0.1)
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
