"""Trees on a history too short for a calibration part."""

from dataclasses import replace

import numpy as np
import pytest

from ml.calibration import Sigmoid
from ml.churn import CHURN
from ml.growing import grow
from ml.metrics import mean_log_loss
from ml.snapshots import Snapshots
from ml.splits import TimeSplit, candidate_splits
from tests.ml.synthetic import snapshots

HORIZON_DAYS = 30


@pytest.fixture(scope="module")
def short() -> tuple[Snapshots, TimeSplit]:
    frame = snapshots(label="churned", users=400, cutoffs=16, horizon_days=HORIZON_DAYS, seed=1)
    known = Snapshots.from_frame(frame, CHURN).labelled()
    split = next(
        split for split in candidate_splits(known.as_of, horizon_days=HORIZON_DAYS) if not len(split.validation)
    )
    return known, split


def grown(known: Snapshots, split: TimeSplit, **least: int) -> object:
    spec = replace(CHURN, **least)
    return grow(known, split, spec, None, horizon_days=HORIZON_DAYS, seed=0, n_jobs=1)


def test_chance_is_not_taken_for_a_pattern(short: tuple[Snapshots, TimeSplit]) -> None:
    """Labels dealt out at random: trees say more of users they have seen than they know, and calibration unsays it."""
    known, split = short
    dealt = np.random.default_rng(0).permutation(known.y)
    known = replace(known, y=dealt)
    trees, test, train = grown(known, split), known.at(split.test), known.at(split.train)
    rate = np.full(len(test), train.y.mean())
    raw = mean_log_loss(test.y, Sigmoid()(trees.margin(test.x))) - mean_log_loss(test.y, rate)
    calibrated = mean_log_loss(test.y, trees.predict_proba(test.x)[:, 1]) - mean_log_loss(test.y, rate)
    assert raw > 0.015
    assert calibrated < raw / 2


def test_outcomes_that_move_are_followed_by_the_newest_dates(short: tuple[Snapshots, TimeSplit]) -> None:
    """From the newest third on half of what else would not comes about, whatever the features say."""
    known, split = short
    newest = split.train[-(len(split.train) // 3) :]
    more = (np.random.default_rng(0).random(len(known)) < 0.5) & (known.as_of >= newest[0])
    known = replace(known, y=np.where(more, np.float32(1), known.y))
    trees, test = grown(known, split), known.at(split.test)
    off = trees.predict_proba(test.x)[:, 1].mean() - test.y.mean()
    raw = Sigmoid()(trees.margin(test.x)).mean() - test.y.mean()
    assert raw < -0.1
    assert abs(off) < -raw / 2


def test_the_trees_are_the_same_and_so_is_the_calibrator_each_time(short: tuple[Snapshots, TimeSplit]) -> None:
    known, split = short
    first, again, bare = grown(known, split), grown(known, split), grown(known, split, min_class_rows=10**6)
    x = known.at(split.test).x
    assert first.to_bytes() == again.to_bytes()
    assert first.calibrator_ != Sigmoid()
    assert bare.calibrator_ == Sigmoid()
    assert np.array_equal(first.margin(x), bare.margin(x))
