"""Splits by time with an embargo: every part's horizons end before the next part begins.

A label as of day c is known only on day c + horizon. So that nothing learnt could have been known only
later, the last cutoff of each part plus the horizon is never after the first cutoff of the next part;
cutoffs in between are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ml.snapshots import Array

# Shares of the cutoffs that remain once the embargoes are taken out; training gets the rest.
_TEST_SHARE = 0.2
_TUNING_SHARE = 0.15


@dataclass(frozen=True, kw_only=True, eq=False)
class TimeSplit:
    """Four parts of the cutoffs, in time order; each is an array of datetime64[D], sorted.

    Attributes:
        train: Where the trees grow.
        validation: Where early stopping looks. Empty when the history is too short for it.
        calibration: Where raw scores are turned into probabilities. The same cutoffs as `validation` when
            the history has no room for both, empty when it has room for neither.
        test: Where everything is measured, once.
    """

    train: Array
    validation: Array
    calibration: Array
    test: Array

    @property
    def before_test(self) -> Array:
        """Every cutoff used before the test."""
        return np.unique(np.concatenate([self.train, self.validation, self.calibration]))

    def parts(self) -> dict[str, Array]:
        """The parts that hold cutoffs, by name, in time order; a shared one appears once, as `tuning`."""
        if len(self.validation) and np.array_equal(self.validation, self.calibration):
            named = {"train": self.train, "tuning": self.validation, "test": self.test}
        else:
            named = {
                "train": self.train,
                "validation": self.validation,
                "calibration": self.calibration,
                "test": self.test,
            }
        return {name: cutoffs for name, cutoffs in named.items() if len(cutoffs)}


def candidate_splits(cutoffs: Array, *, horizon_days: int) -> Iterator[TimeSplit]:
    """Yields the splits a history has room for, the fullest first.

    1. train, validation, calibration, test;
    2. train, tuning (validation and calibration on the same slice), test;
    3. train, test (a fixed number of trees, scores as they are).

    A split is offered only if its training part has at least as many cutoffs as the parts after it
    together, and the first two only if it keeps a third of all cutoffs: what embargoes take must not cost
    more than a tuning part brings. Nothing is yielded when even the third does not fit.

    Args:
        cutoffs: As-of dates that have labels; any order, repeats allowed.
        horizon_days: How far a label looks ahead, in days; the least embargo.

    Raises:
        ValueError: The horizon is not positive.
    """
    if horizon_days < 1:
        raise ValueError(f"horizon_days is {horizon_days}; a label must look at least 1 day ahead")
    days = np.unique(np.asarray(cutoffs, dtype="datetime64[D]"))
    for shares in ((_TUNING_SHARE, _TUNING_SHARE, _TEST_SHARE), (_TUNING_SHARE, _TEST_SHARE), (_TEST_SHARE,)):
        smallest = _cut(days, [1] * len(shares), horizon_days)
        if smallest is None:
            continue
        room = sum(len(part) for part in smallest)
        parts = _cut(days, [max(1, int(share * room)) for share in shares], horizon_days)
        if parts is None or len(parts[0]) < sum(len(part) for part in parts[1:]):
            continue
        if len(parts) > 2 and 3 * len(parts[0]) < len(days):
            continue
        none = days[:0]
        if len(parts) == 4:
            train, validation, calibration, test = parts
        elif len(parts) == 3:
            train, validation, test = parts
            calibration = validation
        else:
            train, test = parts
            validation = calibration = none
        yield TimeSplit(train=train, validation=validation, calibration=calibration, test=test)


def _cut(days: Array, sizes: list[int], horizon_days: int) -> list[Array] | None:
    """Cuts parts of the given sizes off the end, an embargo before each; the first part is what is left."""
    parts: list[Array] = []
    left = days
    for size in reversed(sizes):
        if len(left) <= size:
            return None
        parts.append(left[-size:])
        left = left[left + np.timedelta64(horizon_days, "D") <= left[-size]]
    return [left, *reversed(parts)] if len(left) else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """One step of a back-test, its cutoffs datetime64[D] and sorted: what was known then, and what came after.

    Attributes:
        train: All cutoffs whose horizons ended before the test began.
        test: Cutoffs of one calendar month, or one cutoff where the history is short.
    """

    train: Array
    test: Array


def rolling_folds(cutoffs: Array, *, horizon_days: int, most: int = 6, least: int = 3) -> list[Fold]:
    """Folds with a rolling origin, oldest first: each tests on a month and learns from all that was known before it.

    Where the history has fewer than `least` such months, each fold tests on one cutoff. Of more than `most`, the newest
    are kept. There may be fewer than `least`, or none, where the history is that short.

    Args:
        cutoffs: As-of dates that have labels; any order, repeats allowed.
        horizon_days: How far a label looks ahead, in days.
        most: How many folds to keep.
        least: How many months it takes to go by months.
    """
    days = np.unique(np.asarray(cutoffs, dtype="datetime64[D]"))
    folds: list[Fold] = []
    for period in ("M", "D"):
        periods = days.astype(f"datetime64[{period}]")
        folds = []
        for one in np.unique(periods):
            test = days[periods == one]
            train = days[days + np.timedelta64(horizon_days, "D") <= test[0]]
            if len(train):
                folds.append(Fold(train=train, test=test))
        if len(folds) >= least:
            break
    return folds[-most:]
