"""Growing a model's trees on the parts of a split, calibrated in the best way that its length allows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.boosting import BoostedTrees
from ml.buy_till_you_die import BuyTillYouDie
from ml.calibration import Calibrator, fit_calibrator
from ml.rules import fit_start
from ml.snapshots import Array, Snapshots
from ml.spec import ModelSpec
from ml.splits import TimeSplit

# A search, a back-test or a calibrator of more rows costs minutes and tells no more.
MOST_ROWS = 200_000
_FOLDS = 5
# One in so many dates of a short history is among its newest: early on every user of a young shop is new, so outcomes
# move.
_NEWEST = 3


def grow(
    known: Snapshots,
    split: TimeSplit,
    spec: ModelSpec,
    start: BuyTillYouDie | None,
    *,
    horizon_days: int,
    seed: int,
    n_jobs: int,
) -> BoostedTrees:
    """The trees, grown on all that lies before the test.

    With a validation part they stop early on it, are calibrated on the calibration part, and are grown again on all
    three. Without one their number is the spec's, and the calibrator is learnt across users: on the newest third of the
    training dates, from trees that did not see the user.

    Args:
        known: The labelled rows.
        split: The parts.
        spec: The model, its hyper-parameters chosen.
        start: The rule fitted on the training part that the trees start from.
        horizon_days: How far the label looks ahead.
        seed: Of the trees' sampling.
        n_jobs: Threads; never changes the result.
    """

    def part(cutoffs: Array) -> tuple[Array, Array] | None:
        rows = known.at(cutoffs)
        return (rows.x, rows.y) if len(rows) else None

    train = known.at(split.train)
    trees = BoostedTrees(spec, seed=seed, n_jobs=n_jobs).fit(
        train.x, train.y, validation=part(split.validation), calibration=part(split.calibration), start=start
    )
    if len(split.validation):
        before = known.at(split.before_test)
        return trees.grown_again(before.x, before.y, start=fit_start(before, spec, horizon_days=horizon_days))
    calibrator = _across_users(
        train.of_some_users(MOST_ROWS), spec, horizon_days=horizon_days, seed=seed, n_jobs=n_jobs
    )
    return trees.calibrated(calibrator) if calibrator else trees


def _across_users(rows: Snapshots, spec: ModelSpec, *, horizon_days: int, seed: int, n_jobs: int) -> Calibrator | None:
    """A calibrator learnt from what trees say of users they have not seen; None where outcomes are too few for it."""
    dates = np.unique(rows.as_of)
    newest = np.isin(rows.as_of, dates[-max(1, len(dates) // _NEWEST) :])
    fold = pd.factorize(rows.user_keys, sort=True)[0] % _FOLDS
    learnt_from = (newest, *(fold != number for number in range(_FOLDS)))
    if any(rows.take(chosen).rarest < spec.min_class_rows for chosen in learnt_from):
        return None
    margin = np.empty(len(rows))
    for number in range(_FOLDS):
        others, held_out = rows.take(fold != number), fold == number
        start = fit_start(others, spec, horizon_days=horizon_days)
        trees = BoostedTrees(spec, seed=seed, n_jobs=n_jobs).fit(others.x, others.y, start=start)
        margin[held_out] = trees.margin(rows.x[held_out])
    return fit_calibrator(margin[newest], rows.y[newest], method=spec.calibration)
