"""Customer lifetime value: BG/NBD for how often, Gamma-Gamma for how much.

Both models are those of the library lifetimes. Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary
Value", brucehardie.com/notes/025.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ml.buy_till_you_die import NoConvergenceError, expected_purchases, fit_bg_nbd, lifetimes, probability_alive
from ml.snapshots import Array

SPEND_PARAMETERS = ("p", "q", "v")
HISTORY = ("frequency", "recency", "age")
SUMMARY = (*HISTORY, "mean_value")
ESTIMATES = ("probability_alive", "expected_purchases", "expected_order_value", "clv")

# On fewer the four parameters say more of chance than of customers.
FEWEST_CUSTOMERS = 100
FEWEST_REPEATING = 20
# Three parameters are not known better from more.
_MOST_SPENDERS = 100_000
# Where nobody seems to leave, a and b grow without end; the library's manual advises a small penalty then.
_PENALTY = 0.001
# A discount falls due at the end of each step, as in lifetimes.
_STEP_DAYS = 30.0
_DAYS_A_YEAR = 365.0


@dataclass(frozen=True, kw_only=True)
class LifetimeValue:
    """The two models, fitted.

    Attributes:
        purchases: r, alpha, a and b of BG/NBD, in days where the summaries are.
        spend: p, q and v (the paper's gamma) of Gamma-Gamma; empty where there was no money to fit it to.
    """

    purchases: dict[str, float]
    spend: dict[str, float] = field(default_factory=dict)

    def predict(self, summaries: pd.DataFrame, *, horizon: float, discount: float = 0.0) -> pd.DataFrame:
        """What each customer is expected to do within a horizon.

        Args:
            summaries: One row per customer, as for `fit_lifetime_value`.
            horizon: How far to look, in the unit of time of the summaries.
            discount: What a purchase loses of its value a year; then that unit must be days.

        Returns:
            `probability_alive`, `expected_purchases`, `expected_order_value` and `clv`, the value of the expected
            purchases less the discount, on the index of the summaries. NaN is what the models have no finite answer to.
        """
        # Customers with one history have one future: a hyperbolic series for each of them would be paid for many times.
        group, (x, recency, age) = _grouped(summaries)
        library = lifetimes()
        model = library.BetaGeoFitter()
        model.params_ = pd.Series(self.purchases)

        def expected_until(time: float) -> Array:
            with np.errstate(all="ignore"):
                answer = np.array(model.conditional_expected_number_of_purchases_up_to_time(time, x, recency, age))
            # The library takes the logarithm of a series that is negative where a + b + x < 1.
            lacking = ~np.isfinite(answer) & (x + self.purchases["a"] + self.purchases["b"] < 1)
            histories = (known[lacking] for known in (x, recency, age))
            answer[lacking] = expected_purchases(self.purchases, *histories, horizon=time)
            return answer

        expected = expected_until(horizon)
        present = expected
        if discount:
            ends = np.append(np.arange(_STEP_DAYS, horizon, _STEP_DAYS), horizon)
            until = [np.zeros(len(x)), *(expected_until(end) for end in ends)]
            present = np.sum(
                [(until[n + 1] - until[n]) / (1 + discount) ** (end / _DAYS_A_YEAR) for n, end in enumerate(ends)],
                axis=0,
            )
        value = self._order_value(summaries["frequency"].to_numpy(dtype=np.float64), summaries["mean_value"])
        predicted = pd.DataFrame(
            {
                "probability_alive": probability_alive(self.purchases, x, recency, age)[group],
                "expected_purchases": expected[group],
                "expected_order_value": value,
                "clv": present[group] * value,
            },
            index=summaries.index,
        )
        return predicted.where(np.isfinite(predicted))

    def _order_value(self, frequency: Array, mean_value: pd.Series[float]) -> Array:
        if not self.spend:
            return np.full(len(frequency), np.nan)
        model = lifetimes().GammaGammaFitter()
        model.params_ = pd.Series(self.spend)
        # Whoever came once is expected to spend as the population does, and nobody to bring less than nothing.
        spent = np.where(frequency > 0, np.maximum(np.nan_to_num(mean_value.to_numpy(dtype=np.float64)), 0.0), 0.0)
        return np.asarray(model.conditional_expected_average_profit(frequency, spent), dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """What is expected of each customer, or why nothing is.

    Attributes:
        rows: `probability_alive`, `expected_purchases`, `expected_order_value`, `clv` and `no_estimate_because`, on the
            index of the summaries. What could not be estimated is NaN; the reason is None where all could.
        said: How it went, one sentence.
        parameters: Those of both models by name, as far as they were fitted.
        correlation: Pearson's, of how often and how much repeat customers buy: Gamma-Gamma takes it to be 0. NaN where
            nothing was fitted.
    """

    rows: pd.DataFrame = field(repr=False)
    said: str
    parameters: dict[str, float] = field(default_factory=dict)
    correlation: float = float("nan")


def estimate(summaries: pd.DataFrame, *, horizon_days: int, discount_per_year: float = 0.0) -> Estimates:
    """Fits both models and asks them about each customer; too little to fit them to is an answer, not an error.

    Args:
        summaries: One row per customer, as for `fit_lifetime_value`, in days.
        horizon_days: How far to look.
        discount_per_year: What a purchase loses of its value in a year, from 0 to 1.
    """
    nothing = pd.DataFrame(np.nan, index=summaries.index, columns=list(ESTIMATES))
    repeating = int((summaries["frequency"] > 0).sum())
    if len(summaries) < FEWEST_CUSTOMERS or repeating < FEWEST_REPEATING:
        few = "too few customers" if len(summaries) < FEWEST_CUSTOMERS else "too few come again"
        said = (
            f"No lifetime values: of {len(summaries):,} customers {repeating:,} bought again, and it takes "
            f"{FEWEST_CUSTOMERS} and {FEWEST_REPEATING} to tell chance from habit."
        )
        return Estimates(rows=nothing.assign(no_estimate_because=few), said=said)
    try:
        purchases = _fit_purchases(summaries)
    except NoConvergenceError as error:
        said = f"No lifetime values: these purchases are no process that BG/NBD describes ({error})."
        return Estimates(rows=nothing.assign(no_estimate_because="no convergence"), said=said)
    without, why = "", None
    try:
        spend = _fit_spend(summaries, fewest=FEWEST_REPEATING)
    except NoConvergenceError as error:
        spend, why = {}, "no model of spend"
        without = f" There is no value of a purchase, as {error}."
    fitted = LifetimeValue(purchases=purchases, spend=spend)
    rows = fitted.predict(summaries, horizon=horizon_days, discount=discount_per_year)
    if rows["expected_purchases"].isna().all():
        # Parameters that run off to the end of all numbers, as where everyone does the same.
        said = "No lifetime values: these purchases are no process that BG/NBD describes."
        return Estimates(rows=nothing.assign(no_estimate_because="no convergence"), said=said)
    because = pd.Series(why, index=summaries.index, dtype=object)
    because[rows["expected_purchases"].isna()] = "beyond the models"
    expected = float(rows["expected_purchases"].sum())
    said = f"{len(summaries):,} customers are expected to make {expected:,.0f} purchases in {horizon_days} days" + (
        f", worth {rows['clv'].sum():,.2f}." if spend else f".{without}"
    )
    return Estimates(
        rows=rows.assign(no_estimate_because=because),
        said=said,
        parameters={**purchases, **spend},
        correlation=_correlation(summaries) if spend else float("nan"),
    )


def fit_lifetime_value(summaries: pd.DataFrame) -> LifetimeValue:
    """Fits both models to purchase summaries.

    Args:
        summaries: One row per customer: `frequency`, repeat purchases (days with one, after the first); `recency` and
            `age`, the time from the first to the last and to the end of the observation, in one unit; `mean_value` of
            the repeat purchases, null or 0 without any.

    Raises:
        NoConvergenceError: A likelihood has no maximum that could be found, or nobody bought twice for money.
    """
    return LifetimeValue(purchases=_fit_purchases(summaries), spend=_fit_spend(summaries))


def _grouped(summaries: pd.DataFrame) -> tuple[Array, tuple[Array, Array, Array]]:
    """Which history each customer has, and the different ones in ascending order: any order of rows gives one fit."""
    columns = [summaries[name].to_numpy(dtype=np.float64) for name in HISTORY]
    histories = pd.DataFrame(dict(zip(HISTORY, columns, strict=True)))
    groups = histories.groupby(list(HISTORY), sort=True)
    different = groups.first().index.to_frame(index=False) if len(histories) else histories
    x, recency, age = (different[name].to_numpy(dtype=np.float64) for name in HISTORY)
    return groups.ngroup().to_numpy(), (x, recency, age)


def _fit_purchases(summaries: pd.DataFrame) -> dict[str, float]:
    if not (summaries["frequency"] > 0).any():
        raise NoConvergenceError("nobody bought twice")
    group, (x, recency, age) = _grouped(summaries)
    try:
        return fit_bg_nbd(x, recency, age, weights=np.bincount(group))
    except NoConvergenceError:
        return fit_bg_nbd(x, recency, age, weights=np.bincount(group), penalty=_PENALTY)


def _spenders(summaries: pd.DataFrame) -> pd.DataFrame:
    """Who bought again for money, in an order of their own."""
    spent = (summaries["frequency"] > 0) & (summaries["mean_value"] > 0)
    return summaries.loc[spent, ["frequency", "mean_value"]].astype(float).sort_values(["frequency", "mean_value"])


def _fit_spend(summaries: pd.DataFrame, *, fewest: int = 1) -> dict[str, float]:
    spenders = _spenders(summaries)
    if len(spenders) < fewest:
        raise NoConvergenceError(
            f"{len(spenders)} bought again for money" if len(spenders) else "nobody bought twice for money"
        )
    spenders = spenders.iloc[:: max(1, -(-len(spenders) // _MOST_SPENDERS))]
    library = lifetimes()
    model = library.GammaGammaFitter(penalizer_coef=0.0)
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            model.fit(spenders["frequency"].to_numpy(), spenders["mean_value"].to_numpy())
        except (library.utils.ConvergenceError, ValueError) as error:
            raise NoConvergenceError("Gamma-Gamma does not converge on these purchases") from error
    fitted = {name: float(model.params_[name]) for name in SPEND_PARAMETERS}
    # The population's mean is p v / (q - 1).
    if not (all(np.isfinite(value) and value > 0 for value in fitted.values()) and fitted["q"] > 1):
        raise NoConvergenceError("what a purchase brings varies too much for Gamma-Gamma to have a mean")
    return fitted


def _correlation(summaries: pd.DataFrame) -> float:
    spenders = _spenders(summaries)
    if (spenders.nunique() < 2).any():
        return 0.0
    return float(np.corrcoef(spenders["frequency"], spenders["mean_value"])[0, 1])
