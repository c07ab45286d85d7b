"""Back-test: what the model would have been worth at earlier dates, had it been trained then."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ml.boosting import BoostedTrees
from ml.metrics import evaluate
from ml.predictor import Predictor
from ml.rules import fit_rules, fit_start
from ml.snapshots import Snapshots
from ml.spec import ModelSpec
from ml.splits import rolling_folds


def back_test(
    known: Snapshots, spec: ModelSpec, *, horizon_days: int, rounds: int, seed: int = 0, n_jobs: int = 2
) -> pd.DataFrame:
    """Measures the trees and the simple rules on rolling-origin folds (see `ml.splits.rolling_folds`).

    In each fold all learn from every outcome known when its test began. The number of trees is given and scores are not
    calibrated: earlier folds are too short for parts of their own.

    Args:
        known: Labelled rows.
        spec: The model, with the hyper-parameters to use.
        horizon_days: How far the label looks ahead.
        rounds: How many trees.
        seed: Of the trees' sampling.
        n_jobs: Threads; never changes the result.

    Returns:
        fold, counted from 1; test_from and test_until, as-of dates as text; train_rows, test_rows; estimator; and the
        metrics. Folds without enough rows of both outcomes are left out.
    """
    grown = replace(spec, trees=replace(spec.trees, rounds_without_validation=max(1, rounds)))
    rows: list[dict[str, object]] = []
    number = 0
    for fold in rolling_folds(known.as_of, horizon_days=horizon_days):
        train, test = known.at(fold.train), known.at(fold.test)
        if min(train.y.sum(), len(train) - train.y.sum(), test.y.sum(), len(test) - test.y.sum()) < spec.min_class_rows:
            continue
        contenders: list[Predictor] = [
            BoostedTrees(grown, seed=seed, n_jobs=n_jobs).fit(
                train.x, train.y, start=fit_start(train, spec, horizon_days=horizon_days)
            ),
            *fit_rules(train, spec, horizon_days=horizon_days),
        ]
        number += 1
        rows += [
            {
                "fold": number,
                "test_from": str(fold.test[0]),
                "test_until": str(fold.test[-1]),
                "train_rows": len(train),
                "test_rows": len(test),
                "estimator": contender.name,
                **evaluate(test.y, contender.predict_proba(test.x)[:, 1]),
            }
            for contender in contenders
        ]
    return pd.DataFrame(rows)
