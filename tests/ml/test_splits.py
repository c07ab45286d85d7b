import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.snapshots import Array
from ml.splits import candidate_splits, rolling_folds

DAY_ZERO = np.datetime64("2024-01-01")


def days(numbers: list[int]) -> Array:
    return DAY_ZERO + np.array(numbers, dtype="timedelta64[D]")


def weekly(count: int) -> Array:
    return days([7 * week for week in range(count)])


@given(
    cutoffs=st.lists(st.integers(0, 700), max_size=80),
    horizon=st.integers(1, 60),
    seed=st.randoms(use_true_random=False),
)
def test_every_part_s_horizons_end_before_the_next_part_begins(cutoffs, horizon, seed) -> None:
    splits = list(candidate_splits(days(cutoffs), horizon_days=horizon))
    for split in splits:
        parts = list(split.parts().values())
        for earlier, later in itertools.pairwise(parts):
            assert earlier.max() + np.timedelta64(horizon, "D") <= later.min()
        kept = np.concatenate(parts)
        assert len(kept) == len(np.unique(kept))
        assert np.isin(kept, days(cutoffs)).all()
        assert len(parts[0]) >= sum(len(part) for part in parts[1:])
        # The newest outcomes are always the test.
        assert split.test[-1] == days(cutoffs).max()
        assert not np.isin(split.test, split.before_test).any()
    assert [len(split.parts()) for split in splits] == sorted((len(s.parts()) for s in splits), reverse=True)

    shuffled = list(cutoffs) * 2
    seed.shuffle(shuffled)
    again = list(candidate_splits(days(shuffled), horizon_days=horizon))
    assert [repr(split) for split in again] == [repr(split) for split in splits]


@given(first=st.integers(0, 300), apart=st.integers(1, 90), horizon=st.integers(1, 90))
def test_two_dates_make_a_split_exactly_when_a_horizon_apart(first, apart, horizon) -> None:
    splits = list(candidate_splits(days([first, first + apart]), horizon_days=horizon))
    assert len(splits) == (1 if apart >= horizon else 0)


@pytest.mark.parametrize(
    ("weeks", "horizon", "parts"),
    [
        (52, 30, ["train", "validation", "calibration", "test"]),
        (16, 7, ["train", "validation", "calibration", "test"]),
        (16, 30, ["train", "tuning", "test"]),
        (12, 30, ["train", "test"]),
        (6, 30, ["train", "test"]),
        (5, 30, None),
        (1, 7, None),
        (0, 7, None),
    ],
)
def test_a_short_history_gives_up_parts_one_by_one(weeks: int, horizon: int, parts: list[str] | None) -> None:
    first = next(candidate_splits(weekly(weeks), horizon_days=horizon), None)
    assert (list(first.parts()) if first else None) == parts


def test_the_embargo_takes_exactly_the_horizon() -> None:
    *_, split = candidate_splits(weekly(12), horizon_days=28)
    gap = split.test[0] - split.train[-1]
    assert gap == np.timedelta64(28, "D"), "a horizon of four weeks may end on the day the test begins"


def test_a_horizon_must_look_ahead() -> None:
    with pytest.raises(ValueError, match="at least 1 day"):
        list(candidate_splits(weekly(12), horizon_days=0))


@given(cutoffs=st.sets(st.integers(0, 700), min_size=1, max_size=90), horizon=st.integers(1, 60))
def test_folds_learn_only_from_what_was_known_when_they_test(cutoffs, horizon) -> None:
    folds = rolling_folds(days(sorted(cutoffs)), horizon_days=horizon)
    assert len(folds) <= 6
    for fold in folds:
        assert fold.train.max() + np.timedelta64(horizon, "D") <= fold.test.min()
    for earlier, later in itertools.pairwise(folds):
        assert earlier.test.max() < later.test.min()
        assert set(earlier.train) <= set(later.train)


def test_folds_go_by_months_where_there_are_enough() -> None:
    year, quarter = rolling_folds(weekly(52), horizon_days=30), rolling_folds(weekly(9), horizon_days=30)
    assert len(year) == 6
    assert all(len(fold.test) >= 4 for fold in year[:-1])
    assert {len(fold.test) for fold in quarter} == {1}
    assert len(quarter) >= 3
