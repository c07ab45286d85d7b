"""Drift: whether users look, or score, otherwise than those a model was tested on.

The population stability index of two distributions over the same bins is the sum of (p - q) ln(p / q); below 0.1 it is
usually called stable and above 0.25 drifted (Siddiqi 2006, Credit Risk Scorecards, ch. 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import chi2

from ml.snapshots import Array
from ml.spec import ModelSpec

DRIFTED = 0.25
# Of some fifty distributions looked at every night, none is to be over its limit by chance.
_BY_CHANCE = 1e-5
_BINS = 10
_DIGITS = 6
SCORES = "probability"


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Shares of rows between edges, the last one of rows that are null.

    Attributes:
        edges: Rising; a value belongs to the bin right of the last edge that is not above it.
        shares: One more than bins between edges, that is len(edges) + 2.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, values: Array) -> Self:
        """Bins at the tenths of the known values; equal values share one, so there may be fewer."""
        known = values[~np.isnan(values)].astype(np.float64)
        inner = np.linspace(0, 1, _BINS + 1)[1:-1]
        # Nothing lies left of an edge at the minimum.
        edges = np.setdiff1d(np.quantile(known, inner), known.min()) if len(known) else np.empty(0)
        shares = _shares(values, edges)
        return cls(edges=tuple(edges.tolist()), shares=tuple(np.round(shares, _DIGITS).tolist()))

    def psi(self, values: Array) -> float:
        """How far other values are from these; a bin is never taken to be emptier than half a row of those values."""
        least = 0.5 / max(1, len(values))
        expected = np.maximum(np.array(self.shares), least)
        actual = np.maximum(_shares(values, np.array(self.edges)), least)
        return float(np.sum((actual - expected) * np.log(actual / expected)))

    def limit(self, rows: int) -> float:
        """What the index of so many values must exceed to tell of drift: `DRIFTED`, or what chance explains, if more.

        Where nothing has drifted the index times the number of values is about chi-squared: of 49 users three in ten
        distributions are over 0.25.
        """
        bins = sum(share > 0 for share in self.shares)
        return max(DRIFTED, float(chi2.isf(_BY_CHANCE, max(1, bins - 1))) / max(1, rows))


def _shares(values: Array, edges: Array) -> Array:
    value = values.astype(np.float64)
    bin_of = np.where(np.isnan(value), len(edges) + 1, np.searchsorted(edges, value, side="right"))
    return np.bincount(bin_of, minlength=len(edges) + 2) / max(1, len(value))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a model was tested on.

    Attributes:
        distributions: Of each feature, by name, and of the `probability`.
    """

    distributions: dict[str, Distribution]

    @classmethod
    def of(cls, spec: ModelSpec, x: Array, probability: Array) -> Self:
        """Args: the model; features of shape (n, k); probabilities of shape (n,)."""
        found = {name: Distribution.of(x[:, column]) for column, name in enumerate(spec.feature_names)}
        return cls(distributions={**found, SCORES: Distribution.of(probability)})

    def psi(self, spec: ModelSpec, x: Array, probability: Array) -> dict[str, float]:
        """The index of each feature that does not grow by itself, and of the probability; the largest first."""
        found = {
            feature.name: self.distributions[feature.name].psi(x[:, column])
            for column, feature in enumerate(spec.features)
            if not feature.grows
        }
        found[SCORES] = self.distributions[SCORES].psi(probability)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def limits(self, rows: int) -> dict[str, float]:
        """What each index must exceed, where so many users are looked at, to tell of drift."""
        return {name: one.limit(rows) for name, one in self.distributions.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: [list(one.edges), list(one.shares)] for name, one in self.distributions.items()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """What `to_dict` wrote."""
        return cls(
            distributions={
                name: Distribution(edges=tuple(edges), shares=tuple(shares)) for name, (edges, shares) in state.items()
            }
        )
