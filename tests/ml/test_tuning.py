from dataclasses import replace

import numpy as np
import pytest

from ml.boosting import BoostedTrees
from ml.churn import CHURN
from ml.metrics import mean_log_loss
from ml.spec import TreeParameters
from ml.tuning import MOST_TRIALS, trials_for, tune

SPEC = replace(CHURN, rising=(), falling=(), trees=TreeParameters(max_depth=6, learning_rate=0.2, min_child_weight=1.0))


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1500, len(SPEC.features))).astype(np.float32)
    return x, (rng.random(len(x)) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)


def test_a_budget_is_a_number_of_trials_and_never_a_clock() -> None:
    assert trials_for(10_000_000, 60, seconds=60) == 0
    assert trials_for(200_000, 60, seconds=0) == 0
    assert trials_for(3_000, 60, seconds=60) == 1
    assert trials_for(100_000, 60, seconds=60) > 4
    assert trials_for(100_000, 60, seconds=10_000) == MOST_TRIALS


def test_a_search_finds_the_same_twice_and_nothing_worse_than_it_began_with() -> None:
    train, later = rows(0), rows(1)
    found, loss = tune(SPEC, train, later, trials=6, seed=3)
    assert tune(SPEC, train, later, trials=6, seed=3, n_jobs=1) == (found, loss)
    begun = BoostedTrees(SPEC, seed=3).fit(*train, validation=later)
    assert loss < mean_log_loss(later[1], begun.predict_proba(later[0])[:, 1])
    assert found.max_rounds == SPEC.trees.max_rounds


@pytest.mark.parametrize("trials", [0, 1])
def test_without_a_choice_the_spec_s_parameters_are_kept(trials: int) -> None:
    assert tune(SPEC, rows(0), rows(1), trials=trials)[0] == SPEC.trees
