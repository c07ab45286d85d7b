"""Boosted trees (XGBoost) with early stopping and calibration, both on later time slices.

The trees may start from a simple rule: they then learn only what it leaves unexplained, which takes fewer rows, and
where they find nothing, the rule remains.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import xgboost as xgb

from ml.buy_till_you_die import BuyTillYouDie
from ml.calibration import Calibrator, Sigmoid, calibrator_from_dict, calibrator_to_dict, fit_calibrator
from ml.snapshots import Array
from ml.spec import ModelSpec

Labelled = tuple[Array, Array]

# Rows that keep one thread busy. On fewer, threads mostly wait for each other, and where other programs
# want the cores too, waiting is ruinous: 12,000 rows took 0.3 s on one thread and 19 s on two.
_ROWS_A_THREAD = 25_000
_LEAST = 1e-6


class BoostedTrees:
    """Gradient boosted trees on the log loss, their scores calibrated.

    Classes are never re-weighted: weights would distort the odds that calibration then has to restore.
    The calibrator travels inside the model file, as an attribute of the booster.

    Args:
        spec: Features, monotone constraints and hyper-parameters.
        seed: Of row and column sampling.
        n_jobs: The most threads; never changes the result.
    """

    name: ClassVar[str] = "xgboost"
    file_name: ClassVar[str] = "model.ubj"

    def __init__(self, spec: ModelSpec, *, seed: int = 0, n_jobs: int = 2) -> None:
        self.spec = spec
        self.seed = seed
        self.n_jobs = n_jobs

    def fit(
        self,
        x: Array,
        y: Array,
        *,
        validation: Labelled | None = None,
        calibration: Labelled | None = None,
        start: BuyTillYouDie | None = None,
    ) -> Self:
        """Grows the trees.

        Args:
            x: Shape (n, k).
            y: Shape (n,), outcomes 0 or 1.
            validation: Later rows (x, y) on which early stopping watches the log loss; without them the
                spec's `rounds_without_validation` trees are grown.
            calibration: Later rows (x, y) to learn the calibrator from; without them scores stay as they
                are.
            start: A rule fitted on the same rows, whose log-odds the trees start from.
        """
        self.start_ = start
        trees = self.spec.trees
        threads = max(1, min(self.n_jobs, len(x) // _ROWS_A_THREAD))
        parameters = {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "max_depth": trees.max_depth,
            "learning_rate": trees.learning_rate,
            "min_child_weight": trees.min_child_weight,
            "subsample": trees.subsample,
            "colsample_bytree": trees.colsample_bytree,
            "reg_lambda": trees.reg_lambda,
            "max_bin": trees.max_bin,
            "monotone_constraints": f"({','.join(map(str, self.spec.monotone_constraints))})",
            "seed": self.seed,
            "nthread": threads,
            "verbosity": 0,
        }
        data = self._quantiles(x, y, threads=threads)
        if validation is None:
            booster = xgb.train(parameters, data, trees.rounds_without_validation)
        else:
            booster = xgb.train(
                parameters,
                data,
                trees.max_rounds,
                evals=[(self._quantiles(*validation, threads=threads, like=data), "validation")],
                early_stopping_rounds=trees.patience,
                verbose_eval=False,
            )
            booster = booster[: booster.best_iteration + 1]
        booster.set_param({"nthread": self.n_jobs})
        self.booster_ = booster
        self.rounds_ = booster.num_boosted_rounds()
        self.calibrator_: Calibrator = Sigmoid()
        if calibration is not None:
            later, outcome = calibration
            self.calibrator_ = fit_calibrator(self.margin(later), outcome, method=self.spec.calibration)
        self.booster_.set_attr(start=start.to_bytes().decode() if start else None, best_iteration=None, best_score=None)
        return self.calibrated(self.calibrator_)

    def calibrated(self, calibrator: Calibrator) -> Self:
        """With another calibrator, learnt elsewhere."""
        self.calibrator_ = calibrator
        self.booster_.set_attr(calibrator=json.dumps(calibrator_to_dict(calibrator), sort_keys=True))
        return self

    def grown_again(self, x: Array, y: Array, *, start: BuyTillYouDie | None = None) -> Self:
        """As many trees on other rows, later ones among them, with the calibrator learnt before."""
        trees = replace(self.spec.trees, rounds_without_validation=self.rounds_)
        grown = type(self)(replace(self.spec, trees=trees), seed=self.seed, n_jobs=self.n_jobs).fit(x, y, start=start)
        grown.spec = self.spec
        return grown.calibrated(self.calibrator_)

    def predict_proba(self, x: Array) -> Array:
        """Shape (n, 2), calibrated."""
        probability = self.calibrator_(self.margin(x)) if len(x) else np.empty(0)
        return np.column_stack([1 - probability, probability])

    def contributions(self, x: Array, *, exact: bool = True) -> Array:
        """SHAP values in log-odds before calibration, shape (n, k), float32.

        Args:
            x: Shape (n, k).
            exact: TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2). Otherwise each split's
                change of the node mean is credited to its feature (Saabas): the sum is the same, features
                high in a tree get less, and it takes a twentieth of the time.
        """
        if not len(x):
            return np.empty(x.shape, dtype=np.float32)
        data = xgb.DMatrix(x, feature_names=list(self.spec.feature_names), nthread=self.n_jobs)
        moved = np.asarray(self.booster_.predict(data, pred_contribs=True, approx_contribs=not exact))[:, :-1]
        return moved if self.start_ is None else moved + self.start_.contributions(x).astype(np.float32)

    def to_bytes(self) -> bytes:
        """XGBoost's UBJSON."""
        return bytes(self.booster_.save_raw("ubj"))

    @classmethod
    def from_bytes(cls, spec: ModelSpec, data: bytes) -> Self:
        """From XGBoost's UBJSON.

        Raises:
            ValueError: The trees were grown on other features than the spec's.
        """
        model = cls(spec)
        model.booster_ = xgb.Booster({"nthread": model.n_jobs}, model_file=bytearray(data))
        if tuple(model.booster_.feature_names or ()) != spec.feature_names:
            raise ValueError(f"the trees of model {spec.name} were grown on other features than it now lists")
        model.rounds_ = model.booster_.num_boosted_rounds()
        model.calibrator_ = calibrator_from_dict(json.loads(str(model.booster_.attr("calibrator"))))
        start = model.booster_.attr("start")
        model.start_ = BuyTillYouDie.from_bytes(spec, str(start).encode()) if start else None
        return model

    def margin(self, x: Array) -> Array:
        """Log-odds before calibration, shape (n,)."""
        return np.asarray(
            self.booster_.inplace_predict(
                x, predict_type="margin", validate_features=False, base_margin=self._start_margin(x)
            )
        )

    def _start_margin(self, x: Array) -> Array | None:
        if self.start_ is None:
            return None
        probability = np.clip(self.start_.predict_proba(x)[:, 1], _LEAST, 1 - _LEAST)
        return np.asarray(np.log(probability) - np.log1p(-probability), dtype=np.float32)

    def _quantiles(
        self, x: Array, y: Array, *, threads: int, like: xgb.QuantileDMatrix | None = None
    ) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            x,
            y,
            feature_names=list(self.spec.feature_names),
            base_margin=self._start_margin(x),
            max_bin=self.spec.trees.max_bin,
            ref=like,
            nthread=threads,
        )
