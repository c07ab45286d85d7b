import numpy as np
import pandas as pd
import pytest

from ml.buy_till_you_die import (
    BuyTillYouDie,
    NoConvergenceError,
    fit_bg_nbd,
    lifetimes,
    probability_alive,
    probability_of_silence,
)
from ml.churn import CHURN
from ml.snapshots import Snapshots
from tests.ml.synthetic import snapshots

PARAMETERS = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
X, RECENCY, AGE = np.array([0.0, 1.0, 2.0, 7.0]), np.array([0.0, 5.0, 30.43, 20.0]), np.array([39.0, 30.0, 38.86, 39.0])


def test_probability_alive_is_that_of_lifetimes() -> None:
    library = lifetimes().BetaGeoFitter()
    library.params_ = pd.Series(PARAMETERS)
    expected = library.conditional_probability_alive(X, RECENCY, AGE)
    np.testing.assert_allclose(probability_alive(PARAMETERS, X, RECENCY, AGE), expected, rtol=1e-6)


def test_silence_is_as_often_as_in_simulated_lives() -> None:
    """Lives drawn from the model: of those with about the same history, as many stay silent as the formula says."""
    rng = np.random.default_rng(0)
    people, horizon, end = 40_000, 20.0, 60.0
    rate = rng.gamma(1.2, 1 / 8.0, people)
    leaving = rng.beta(1.0, 3.0, people)
    now, alive = np.zeros(people), np.ones(people, dtype=bool)
    x, last, later = np.zeros(people), np.zeros(people), np.zeros(people)
    for _ in range(400):
        now = now + rng.exponential(1 / rate)
        before = alive & (now < end)
        x += before
        last = np.where(before, now, last)
        later += alive & (now >= end) & (now < end + horizon)
        alive &= rng.random(people) >= leaving
    silent = probability_of_silence(
        {"r": 1.2, "alpha": 8.0, "a": 1.0, "b": 3.0}, x, last, np.full(people, end), horizon=horizon
    )
    for low in np.arange(0, 1, 0.1):
        group = (silent >= low) & (silent < low + 0.1)
        if group.sum() > 500:
            assert (later[group] == 0).mean() == pytest.approx(silent[group].mean(), abs=0.03)


def test_histories_that_are_no_such_process_are_refused() -> None:
    with pytest.raises(NoConvergenceError):
        fit_bg_nbd(np.zeros(5), np.zeros(5), np.zeros(5))


def test_it_is_a_rule_like_the_others() -> None:
    frame = snapshots(label="churned", users=400)
    rng = np.random.default_rng(0)
    age = rng.integers(30, 200, len(frame)).astype(float)
    lives = []
    rates, dropouts = rng.gamma(2.0, 0.05, len(frame)), rng.beta(1.0, 3.0, len(frame))
    for row in range(len(frame)):
        days = [0.0]
        while len(days) == 1 or rng.random() > dropouts[row]:
            days.append(days[-1] + rng.exponential(1 / rates[row]))
            if days[-1] > age[row]:
                days.pop()
                break
        lives.append((len(days), age[row], age[row] - days[-1]))
    frame[["active_days_lifetime", "tenure_days", "recency_days"]] = np.array(lives)
    known = Snapshots.from_frame(frame, CHURN).labelled()
    newest = ~pd.Series(known.user_keys).duplicated(keep="last").to_numpy()
    rule = BuyTillYouDie(CHURN, horizon_days=14).fit(known.x, known.y, newest=newest)
    p = rule.predict_proba(known.x)[:, 1]
    rest = np.log(p / (1 - p)) - rule.contributions(known.x).sum(axis=1)
    assert np.ptp(rest) < 1e-6
    again = BuyTillYouDie.from_bytes(CHURN, rule.to_bytes())
    np.testing.assert_array_equal(again.predict_proba(known.x), rule.predict_proba(known.x))
