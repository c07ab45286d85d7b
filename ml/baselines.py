"""Simple rules a model must beat: the base rate, a recency rule, and logistic regression.

Each has scikit-learn's habits (`fit`, `predict_proba`, learnt attributes with an underscore) and is stored
as JSON.
"""

from __future__ import annotations

import json
from typing import ClassVar, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ml.calibration import Sigmoid
from ml.snapshots import Array
from ml.spec import ModelSpec


class BaseRate:
    """Gives everyone the rate seen so far, by Laplace's rule of succession: (positives + 1) / (rows + 2)."""

    name: ClassVar[str] = "base_rate"
    file_name: ClassVar[str] = "model.json"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec

    def fit(self, x: Array, y: Array) -> Self:
        """Counts outcomes; no rows at all give 0.5."""
        self.rate_ = (float(y.sum()) + 1) / (len(y) + 2)
        return self

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2)."""
        return _two_columns(np.full(len(x), self.rate_))

    def contributions(self, x: Array) -> Array:
        """Zeros: no feature is read."""
        return np.zeros(x.shape)

    def to_bytes(self) -> bytes:
        """JSON."""
        return _to_json(rate=self.rate_)

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """From JSON."""
        rule = cls(spec)
        rule.rate_ = json.loads(data)["rate"]
        return rule


class RecencyRule:
    """Gives a user the rate seen among users of about the same recency.

    Recency (the spec's `rule_feature`) is cut at its quantiles into at most `bins` groups; equal values
    always share one, and nulls form their own. A group's rate is drawn towards the base rate with the
    weight of one row, so that no group is ever certain.
    """

    name: ClassVar[str] = "recency_rule"
    file_name: ClassVar[str] = "model.json"

    def __init__(self, spec: ModelSpec, *, bins: int = 20) -> None:
        self.spec = spec
        self.bins = bins
        self._column = spec.feature_names.index(spec.rule_feature)

    def fit(self, x: Array, y: Array) -> Self:
        """Learns edges and the rate of each group."""
        value = x[:, self._column].astype(np.float64)
        known = value[~np.isnan(value)]
        inner = np.linspace(0, 1, self.bins + 1)[1:-1]
        # An edge at the minimum would leave nobody below it to learn a rate from.
        self.edges_ = np.setdiff1d(np.quantile(known, inner), known.min()) if len(known) else np.empty(0)
        group = self._group(x)
        self.rate_ = (float(y.sum()) + 1) / (len(y) + 2)
        groups = len(self.edges_) + 2
        positives = np.bincount(group, weights=y, minlength=groups)
        self.rates_ = (positives + self.rate_) / (np.bincount(group, minlength=groups) + 1)
        return self

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2)."""
        return _two_columns(self.rates_[self._group(x)])

    def contributions(self, x: Array) -> Array:
        """All in the recency column: the group's log-odds less the base rate's."""
        moved = np.zeros(x.shape)
        moved[:, self._column] = _log_odds(self.rates_[self._group(x)]) - _log_odds(self.rate_)
        return moved

    def to_bytes(self) -> bytes:
        """JSON."""
        return _to_json(edges=self.edges_.tolist(), rates=self.rates_.tolist(), rate=self.rate_)

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """From JSON."""
        state = json.loads(data)
        rule = cls(spec)
        rule.edges_, rule.rates_ = np.array(state["edges"]), np.array(state["rates"])
        rule.rate_ = state["rate"]
        return rule

    def _group(self, x: Array) -> Array:
        value = x[:, self._column].astype(np.float64)
        group = np.searchsorted(self.edges_, value, side="right")
        return np.where(np.isnan(value), len(self.edges_) + 1, group)


class LogisticBaseline:
    """L2-penalised logistic regression on signed logarithms of the features, standardised.

    sign(v)·log(1+|v|) tames the heavy tails of counts and money and is linear near zero. Nulls become the
    median, with an indicator column for each feature that had any.
    """

    name: ClassVar[str] = "logistic_regression"
    file_name: ClassVar[str] = "model.json"

    def __init__(self, spec: ModelSpec, *, penalty: float = 1.0) -> None:
        self.spec = spec
        self.penalty = penalty

    def fit(self, x: Array, y: Array) -> Self:
        """Learns medians, scales and coefficients.

        Raises:
            ValueError: `y` holds one outcome only.
        """
        absent = np.isnan(x)
        self.indicated_ = np.flatnonzero(absent.any(axis=0))
        self.median_ = np.array(
            [np.median(column[~gone]) if not gone.all() else 0.0 for column, gone in zip(x.T, absent.T, strict=True)],
            dtype=np.float64,
        )
        design = self._design(x)
        # A column of equal values has no spread but what rounding makes of their mean: divided by that, it would be a
        # second intercept, and the first other value to be scored would outweigh all else.
        same = design.min(axis=0) == design.max(axis=0)
        self.mean_ = np.where(same, design[0], design.mean(axis=0))
        self.scale_ = np.where(same, 1.0, design.std(axis=0))
        # On busy cores the threads of so small a problem spend their time waiting for each other.
        with threadpool_limits(1):
            fitted = LogisticRegression(C=1 / self.penalty, max_iter=1000).fit(
                (design - self.mean_) / self.scale_, y.astype(np.int8)
            )
        self.coef_ = fitted.coef_[0]
        self.intercept_ = float(fitted.intercept_[0])
        return self

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2)."""
        return _two_columns(Sigmoid(intercept=self.intercept_)(self._terms(x).sum(axis=1)))

    def contributions(self, x: Array) -> Array:
        """Coefficient times standardised value: exactly SHAP of a linear model of independent features."""
        terms = self._terms(x)
        moved = terms[:, : x.shape[1]].copy()
        moved[:, self.indicated_] += terms[:, x.shape[1] :]
        return moved

    def to_bytes(self) -> bytes:
        """JSON."""
        return _to_json(
            indicated=self.indicated_.tolist(),
            median=self.median_.tolist(),
            mean=self.mean_.tolist(),
            scale=self.scale_.tolist(),
            coef=self.coef_.tolist(),
            intercept=self.intercept_,
        )

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """From JSON."""
        state = json.loads(data)
        model = cls(spec)
        model.indicated_ = np.array(state["indicated"], dtype=np.intp)
        model.median_, model.mean_ = np.array(state["median"]), np.array(state["mean"])
        model.scale_, model.coef_ = np.array(state["scale"]), np.array(state["coef"])
        model.intercept_ = state["intercept"]
        return model

    def _design(self, x: Array) -> Array:
        absent = np.isnan(x)
        filled = np.where(absent, self.median_, x)
        return np.hstack([np.sign(filled) * np.log1p(np.abs(filled)), absent[:, self.indicated_]])

    def _terms(self, x: Array) -> Array:
        return np.asarray((self._design(x) - self.mean_) / self.scale_ * self.coef_)


def _two_columns(probability: Array) -> Array:
    return np.column_stack([1 - probability, probability])


def _log_odds(probability: Array | float) -> Array:
    return np.asarray(np.log(probability) - np.log1p(-np.asarray(probability)))


def _to_json(**state: object) -> bytes:
    return json.dumps(state, sort_keys=True).encode()
