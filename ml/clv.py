"""Customer lifetime value: BG/NBD for how often, Gamma-Gamma for how much.

Both models are those of the library lifetimes. Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary
Value", brucehardie.com/notes/025.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml.buy_till_you_die import NoConvergenceError, fit_bg_nbd, lifetimes, probability_alive
from ml.snapshots import Array

SPEND_PARAMETERS = ("p", "q", "v")
SUMMARY = ("frequency", "recency", "age", "mean_value")


@dataclass(frozen=True, kw_only=True)
class LifetimeValue:
    """The two models, fitted.

    Attributes:
        purchases: r, alpha, a and b of BG/NBD.
        spend: p, q and v (the paper's gamma) of Gamma-Gamma.
    """

    purchases: dict[str, float]
    spend: dict[str, float]

    def predict(self, summaries: pd.DataFrame, *, horizon: float) -> pd.DataFrame:
        """What each customer is expected to do within a horizon.

        Args:
            summaries: One row per customer, as for `fit_lifetime_value`.
            horizon: How far to look, in the unit of time of the summaries.

        Returns:
            probability_alive, expected_purchases, expected_value (of one purchase) and lifetime_value (of all in the
            horizon, undiscounted), on the index of the summaries.
        """
        x, recency, age, mean_value = (summaries[name].to_numpy(dtype=np.float64) for name in SUMMARY)
        library = lifetimes()
        purchases, spend = library.BetaGeoFitter(), library.GammaGammaFitter()
        purchases.params_ = pd.Series(self.purchases)
        spend.params_ = pd.Series(self.spend)
        expected = np.asarray(
            purchases.conditional_expected_number_of_purchases_up_to_time(horizon, x, recency, age), dtype=np.float64
        )
        # Whoever came once is expected to spend as the population does.
        value = np.asarray(spend.conditional_expected_average_profit(x, np.where(x > 0, mean_value, 0.0)))
        return pd.DataFrame(
            {
                "probability_alive": probability_alive(self.purchases, x, recency, age),
                "expected_purchases": expected,
                "expected_value": value,
                "lifetime_value": expected * value,
            },
            index=summaries.index,
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
    x, recency, age, mean_value = (summaries[name].to_numpy(dtype=np.float64) for name in SUMMARY)
    purchases = fit_bg_nbd(x, recency, age)
    return LifetimeValue(purchases=purchases, spend=_fit_gamma_gamma(x, mean_value))


def _fit_gamma_gamma(frequency: Array, mean_value: Array) -> dict[str, float]:
    spent = (frequency > 0) & (np.nan_to_num(mean_value) > 0)
    if not spent.any():
        raise NoConvergenceError("nobody bought twice for money")
    library = lifetimes()
    model = library.GammaGammaFitter(penalizer_coef=0.0)
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            model.fit(frequency[spent], mean_value[spent])
        except (library.utils.ConvergenceError, ValueError) as error:
            raise NoConvergenceError("Gamma-Gamma does not converge on these purchases") from error
    return {name: float(model.params_[name]) for name in SPEND_PARAMETERS}
