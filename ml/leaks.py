"""Proofs, on a sample of the data at hand, that a training cannot have looked ahead."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ml.boosting import BoostedTrees
from ml.snapshots import Snapshots
from ml.spec import ModelSpec

_ROWS, _ROUNDS = 6_000, 30
# A false alarm once in 15,000 trainings.
_STANDARD_ERRORS = 4.0


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether something that must hold for an honest model does.

    Attributes:
        holds: Whether it does.
        said: What was found, one sentence.
    """

    holds: bool
    said: str


def permuted_labels_are_not_learnt(frame: pd.DataFrame, spec: ModelSpec, *, seed: int = 0) -> Proof:
    """With labels dealt out at random among the rows of each date, half of the users must not help with the other half.

    An AUC other than 0.5, beyond what chance explains, means that labels reach the model by another way than the past.

    Args:
        frame: The features table with its label.
        spec: The model.
        seed: Of the deal.
    """
    rows = Snapshots.from_frame(frame, spec).labelled().of_some_users(_ROWS)
    generator = np.random.default_rng(seed)
    y = rows.y.copy()
    for as_of in np.unique(rows.as_of):
        at = np.flatnonzero(rows.as_of == as_of)
        y[at] = generator.permutation(y[at])
    test = pd.factorize(rows.user_keys)[0] % 2 == 1
    positives = float(y[test].sum())
    negatives = float(test.sum() - positives)
    untold = Proof(holds=True, said="There are too few outcomes to try.")
    if min(positives, negatives, y[~test].sum(), (~test).sum() - y[~test].sum()) < spec.min_class_rows:
        return untold
    # Dates alone tell something of the rate; what is asked is whether anything tells rows of one date apart.
    short = replace(spec, trees=replace(spec.trees, rounds_without_validation=_ROUNDS))
    trees = BoostedTrees(short, seed=seed).fit(rows.x[~test], y[~test])
    probability = trees.predict_proba(rows.x[test])[:, 1]
    aucs, weights, variance = [], [], 0.0
    for as_of in np.unique(rows.as_of[test]):
        at = rows.as_of[test] == as_of
        up = float(y[test][at].sum())
        down = float(at.sum() - up)
        if up and down:
            aucs.append(roc_auc_score(y[test][at], probability[at]))
            weights.append(up * down)
            # Of the Mann-Whitney statistic without ties.
            variance += (up * down) * (up + down + 1) / 12
    if not aucs:
        # As of each date, all came to the same end, such as before and after a long silence.
        return untold
    auc = float(np.average(aucs, weights=weights))
    allowed = _STANDARD_ERRORS * float(np.sqrt(variance)) / sum(weights)
    return Proof(
        holds=abs(auc - 0.5) <= allowed,
        said=f"With labels dealt out at random the AUC for unseen users is {auc:.3f}; 0.5 ± {allowed:.3f} is chance.",
    )


def parts_are_an_embargo_apart(parts: dict[str, list[str]], *, horizon_days: int) -> Proof:
    """Each part's last label must have been known when the next part begins.

    Args:
        parts: As-of dates of each part, ISO, in time order, as the registry stores them.
        horizon_days: How far a label looks ahead.
    """
    for (earlier, before), (later, after) in itertools.pairwise(parts.items()):
        known = date.fromisoformat(max(before)) + timedelta(days=horizon_days)
        if known > date.fromisoformat(min(after)):
            return Proof(
                holds=False,
                said=f"The last label of {earlier} is known on {known}, but {later} begins on {min(after)}.",
            )
    return Proof(holds=True, said=f"The parts follow each other, at least {horizon_days} days apart.")
