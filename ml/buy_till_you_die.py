"""BG/NBD: who is still there, from how often and how lately they came (Fader, Hardie & Lee 2005, Marketing Science 24).

The estimation is that of the library lifetimes; Gamma-Gamma spend is in `ml.clv`.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from typing import Any, ClassVar, Self

import numpy as np

from ml.calibration import Sigmoid, fit_calibrator
from ml.snapshots import Array
from ml.spec import ModelSpec

_MOST_USERS = 20_000
PARAMETERS = ("r", "alpha", "a", "b")


class NoConvergenceError(Exception):
    """The likelihood has no maximum that the search could find: these histories are no such process."""


def lifetimes() -> Any:
    """The library; it sets an option on import that pandas has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes

        return lifetimes


def fit_bg_nbd(
    frequency: Array, recency: Array, age: Array, *, weights: Array | None = None, penalty: float = 0.0
) -> dict[str, float]:
    """The maximum-likelihood parameters r, alpha, a and b.

    Args:
        frequency: Shape (n,), repeat purchases: how many after the first.
        recency: Shape (n,), from the first to the last, in any unit of time.
        age: Shape (n,), from the first to the end of the observation, in the same unit.
        weights: Shape (n,), how many have such a history; one each by default.
        penalty: On the squares of the parameters, which keeps them from running off where nobody seems to leave.

    Raises:
        NoConvergenceError: There is no such maximum.
    """
    library = lifetimes()
    model = library.BetaGeoFitter(penalizer_coef=penalty)
    # What does not converge is told by the exception; the library prints it, too.
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            model.fit(frequency, recency, age, weights=weights)
        except (library.utils.ConvergenceError, ValueError, FloatingPointError) as error:
            raise NoConvergenceError("the likelihood has no maximum that could be found") from error
    fitted = {name: float(model.params_[name]) for name in PARAMETERS}
    if not all(np.isfinite(value) and value > 0 for value in fitted.values()):
        raise NoConvergenceError(f"the parameters found are not all positive: {fitted}")
    return fitted


def probability_alive(parameters: dict[str, float], frequency: Array, recency: Array, age: Array) -> Array:
    """P(alive at the end of the observation), shape (n,); formula of Fader, Hardie & Lee (2008), "Computing P(alive)".

    Whoever came but once is alive: the model lets people leave only right after a repeat purchase.
    """
    r, alpha, a, b = (parameters[name] for name in PARAMETERS)
    x = np.asarray(frequency, dtype=np.float64)
    log_odds_of_leaving = (
        (r + x) * np.log((alpha + age) / (alpha + recency)) + np.log(a) - np.log(b + np.maximum(x, 1.0) - 1)
    )
    return np.where(x > 0, 1 / (1 + np.exp(np.clip(log_odds_of_leaving, -700, 700))), 1.0)


def probability_of_silence(
    parameters: dict[str, float], frequency: Array, recency: Array, age: Array, *, horizon: float
) -> Array:
    """P(no purchase within the horizon), shape (n,).

    Someone alive has a rate that is Gamma(r + x, alpha + T), so stays silent with probability
    ((alpha + T) / (alpha + T + t))^(r + x).
    """
    alive = probability_alive(parameters, frequency, recency, age)
    shape = parameters["r"] + np.asarray(frequency, dtype=np.float64)
    rate = parameters["alpha"] + np.asarray(age, dtype=np.float64)
    return np.asarray(1 - alive * (1 - (rate / (rate + horizon)) ** shape))


def expected_purchases(
    parameters: dict[str, float], frequency: Array, recency: Array, age: Array, *, horizon: float
) -> Array:
    """Purchases expected within the horizon, shape (n,); NaN or infinite where the series cannot be summed.

    Equation 10 of Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way.
    """
    from scipy.special import hyp2f1

    r, alpha, a, b = (parameters[name] for name in PARAMETERS)
    x = np.asarray(frequency, dtype=np.float64)
    rate = alpha + np.asarray(age, dtype=np.float64)
    with np.errstate(all="ignore"):
        series = hyp2f1(r + x, b + x, a + b + x - 1, horizon / (rate + horizon))
        while_alive = (a + b + x - 1) / (a - 1) * (1 - (rate / (rate + horizon)) ** (r + x) * series)
    return np.asarray(probability_alive(parameters, frequency, recency, age) * while_alive, dtype=np.float64)


class BuyTillYouDie:
    """BG/NBD on active days as a simple rule for churn: P(no active day within the horizon), then Platt's scaling.

    Reads `active_days_lifetime`, `tenure_days` and `recency_days`. Fitted on one row a user, its newest: several of one
    user would count the same history again.
    """

    name: ClassVar[str] = "bg_nbd"
    file_name: ClassVar[str] = "model.json"
    reads: ClassVar[tuple[str, ...]] = ("active_days_lifetime", "tenure_days", "recency_days")

    def __init__(self, spec: ModelSpec, *, horizon_days: int = 0) -> None:
        self.spec = spec
        self.horizon_days = horizon_days
        self._columns = [spec.feature_names.index(name) for name in self.reads]

    def fit(self, x: Array, y: Array, *, newest: Array) -> Self:
        """Learns the parameters, and how to calibrate.

        Args:
            x: Shape (n, k).
            y: Shape (n,).
            newest: Shape (n,), whether a row is the newest of its user.

        Raises:
            NoConvergenceError: The histories are no such process.
        """
        rows = np.flatnonzero(newest)
        rows = rows[:: max(1, -(-len(rows) // _MOST_USERS))]
        self.parameters_ = fit_bg_nbd(*self._summaries(x[rows]))
        self.calibrator_ = fit_calibrator(self._margin(x), y, method="platt")
        self.rate_ = float(np.mean(y))
        return self

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2)."""
        probability = self.calibrator_(self._margin(x))
        return np.column_stack([1 - probability, probability])

    def contributions(self, x: Array) -> Array:
        """All in the recency column: the log-odds less the base rate's."""
        moved = np.zeros(x.shape)
        probability = np.clip(self.predict_proba(x)[:, 1], 1e-9, 1 - 1e-9)
        base = np.clip(self.rate_, 1e-9, 1 - 1e-9)
        moved[:, self._columns[-1]] = np.log(probability / (1 - probability)) - np.log(base / (1 - base))
        return moved

    def to_bytes(self) -> bytes:
        """JSON."""
        calibrator = self.calibrator_
        assert isinstance(calibrator, Sigmoid)
        state = {
            "parameters": self.parameters_,
            "slope": calibrator.slope,
            "intercept": calibrator.intercept,
            "rate": self.rate_,
            "horizon_days": self.horizon_days,
        }
        return json.dumps(state, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """From JSON."""
        state = json.loads(data)
        rule = cls(spec, horizon_days=state["horizon_days"])
        rule.parameters_, rule.rate_ = state["parameters"], state["rate"]
        rule.calibrator_ = Sigmoid(slope=state["slope"], intercept=state["intercept"])
        return rule

    def _summaries(self, x: Array) -> tuple[Array, Array, Array]:
        days, tenure, recency = x[:, self._columns].astype(np.float64).T
        again = np.maximum(days - 1, 0)
        return again, np.where(again > 0, np.maximum(tenure - recency, 0), 0), tenure

    def _margin(self, x: Array) -> Array:
        silent = probability_of_silence(self.parameters_, *self._summaries(x), horizon=self.horizon_days)
        silent = np.clip(silent, 1e-9, 1 - 1e-9)
        return np.asarray(np.log(silent / (1 - silent)))
