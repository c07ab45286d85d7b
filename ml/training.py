"""Training: the model against simple rules, on outcomes later than anything either has seen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
import sklearn
import xgboost

from ml.baselines import BaseRate, fit_baselines
from ml.boosting import BoostedTrees
from ml.metrics import evaluate
from ml.predictor import Predictor
from ml.snapshots import Array, Snapshots
from ml.spec import ModelSpec
from ml.splits import TimeSplit, candidate_splits

Verdict = Literal["model", "simple_rule", "no_model"]

# SHAP values of this many test rows are enough for a mean per feature.
_IMPORTANCE_ROWS = 2_000


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingResult:
    """What training came to: the predictor that is to score, and the evidence for choosing it.

    Attributes:
        spec: The model's definition.
        predictor: What scores from now on: the trees, or the simple rule they did not beat.
        version: Names this training. Depends on data, definition, horizon, seed and library versions only.
        verdict: `model`: the trees beat every simple rule. `simple_rule`: they did not, the best rule
            scores. `no_model`: nothing could be trained and tested; the base rate scores.
        explanation: The verdict's reason, one sentence.
        horizon_days: How far the label looks ahead.
        seed: Of the trees' sampling.
        data_fingerprint: SHA-256 of the labelled rows.
        n_labelled: Rows with a known outcome.
        positives: How many of them are positive.
        split: The cutoffs of each part; None without a test.
        rows: Rows of each part, by name.
        metrics: On the test part, flat: `xgboost.roc_auc`, `base_rate.log_loss`, … Empty without a test.
        rounds: Trees kept; 0 without any.
        importance: Mean absolute contribution in log-odds of each feature on the test part, of the trees.
        test: The test part: user_key, as_of, the label and one column of probabilities per estimator.
        trained_at: When, UTC.
    """

    spec: ModelSpec
    predictor: Predictor
    version: str
    verdict: Verdict
    explanation: str
    horizon_days: int
    seed: int
    data_fingerprint: str
    n_labelled: int
    positives: int
    split: TimeSplit | None = None
    rows: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    rounds: int = 0
    importance: dict[str, float] = field(default_factory=dict)
    test: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    trained_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def estimator(self) -> str:
        """The name of what scores: `xgboost`, `logistic_regression`, `recency_rule` or `base_rate`."""
        return self.predictor.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Hyper-parameters and everything else that was chosen, flat and JSON-ready."""
        return {
            **asdict(self.spec.trees),
            "rising": list(self.spec.rising),
            "falling": list(self.spec.falling),
            "calibration": self.spec.calibration,
            "horizon_days": self.horizon_days,
            "seed": self.seed,
            "rounds": self.rounds,
        }

    def to_row(self, *, path: str = "") -> dict[str, Any]:
        """One row of `ops.model_versions`; metrics, features and params are JSON text.

        Args:
            path: Where the registry keeps it.
        """
        return {
            "model": self.spec.name,
            "version": self.version,
            "trained_at": self.trained_at.replace(tzinfo=None),
            "estimator": self.estimator,
            "verdict": self.verdict,
            "explanation": self.explanation,
            "metrics": json.dumps(self.metrics, sort_keys=True),
            "features": json.dumps(self.spec.feature_names),
            "params": json.dumps(self.parameters, sort_keys=True),
            "n_train": self.rows.get("train", 0),
            "n_test": self.rows.get("test", 0),
            "data_fingerprint": self.data_fingerprint,
            "path": path,
        }


def train(frame: pd.DataFrame, spec: ModelSpec, *, horizon_days: int, seed: int = 0, n_jobs: int = 2) -> TrainingResult:
    """Trains the model and the simple rules, tests all on the latest outcomes and picks what scores.

    The trees grow on the oldest part, stop early on a later one, are calibrated on one later still and
    meet the test part once. The simple rules, which need no tuning, may use every row before the test.
    The trees are published if their log loss on the test is lower than every rule's. A history too small
    for that yields the base rate of all labelled rows, never an error.

    Args:
        frame: One row per (user_key, as_of) with the spec's features and label; any row order.
        spec: The model.
        horizon_days: How far the label looks ahead, the least embargo between parts.
        seed: Of the trees' sampling.
        n_jobs: Threads; never changes the result.

    Raises:
        ValueError: The frame breaks its contract (see `Snapshots.from_frame`), or the horizon is not
            positive.
    """
    known = Snapshots.from_frame(frame, spec).labelled()
    fingerprint = known.fingerprint()
    split, obstacle = _choose_split(known, spec, horizon_days=horizon_days)
    facts: dict[str, Any] = {
        "spec": spec,
        "horizon_days": horizon_days,
        "seed": seed,
        "data_fingerprint": fingerprint,
        "n_labelled": len(known),
        "positives": int(known.y.sum()),
    }
    if split is None:
        return TrainingResult(
            **facts,
            predictor=BaseRate(spec).fit(known.x, known.y),
            version=BaseRate.name,
            verdict="no_model",
            explanation=f"No {spec.name} model: {obstacle}; everyone gets the base rate.",
        )

    before, test = known.at(split.before_test), known.at(split.test)
    trees = _fit_trees(known, split, spec, seed=seed, n_jobs=n_jobs)
    contenders: list[Predictor] = [trees, *fit_baselines(spec, before.x, before.y)]
    predicted = {contender.name: contender.predict_proba(test.x)[:, 1] for contender in contenders}
    measured = {name: evaluate(test.y, probability) for name, probability in predicted.items()}
    loss = {name: metrics["log_loss"] for name, metrics in measured.items()}
    best_rule = min(contenders[1:], key=lambda rule: loss[rule.name])
    wins = loss[trees.name] < loss[best_rule.name]
    winner = trees if wins else best_rule
    sample = test.x[:: max(1, -(-len(test) // _IMPORTANCE_ROWS))]
    importance = np.abs(trees.contributions(sample)).mean(axis=0)
    return TrainingResult(
        **facts,
        predictor=winner,
        version=_version(winner.name, spec, fingerprint, horizon_days=horizon_days, seed=seed),
        verdict="model" if wins else "simple_rule",
        explanation=(
            f"The trees' log loss on the test, {loss[trees.name]:.4f}, is "
            f"{'lower than' if wins else 'not lower than'} that of the best simple rule, "
            f"{best_rule.name.replace('_', ' ')}: {loss[best_rule.name]:.4f}; "
            f"{'the trees score.' if wins else 'the rule scores.'}"
        ),
        split=split,
        rows={name: len(known.at(cutoffs)) for name, cutoffs in split.parts().items()},
        metrics={f"{name}.{metric}": value for name, values in measured.items() for metric, value in values.items()},
        rounds=trees.rounds_,
        importance=dict(zip(spec.feature_names, map(float, importance), strict=True)),
        test=pd.DataFrame({"user_key": test.user_keys, "as_of": test.as_of, spec.label: test.y, **predicted}),
    )


def _choose_split(known: Snapshots, spec: ModelSpec, *, horizon_days: int) -> tuple[TimeSplit | None, str]:
    """The fullest split whose every part holds enough of both outcomes, or why there is none."""
    candidates = list(candidate_splits(known.as_of, horizon_days=horizon_days))
    if not len(known):
        return None, f"no snapshot has its whole {horizon_days}-day horizon inside the data yet"
    positives = int(known.y.sum())
    if positives in (0, len(known)):
        return None, f"all {len(known)} known outcomes are the same"
    if not candidates:
        days = np.unique(known.as_of)
        return None, (
            f"{len(days)} labelled as-of date{'s' if len(days) > 1 else ''} from {days[0]} to {days[-1]} "
            f"cannot hold a training and a test part {horizon_days} days apart"
        )
    for split in candidates:
        scarce = min(_rarest(known.at(cutoffs).y) for cutoffs in split.parts().values())
        if scarce >= spec.min_class_rows:
            return split, ""
    return None, (f"a part of the split holds only {scarce} rows of one outcome and {spec.min_class_rows} are needed")


def _rarest(y: Array) -> int:
    return int(min(y.sum(), len(y) - y.sum()))


def _fit_trees(known: Snapshots, split: TimeSplit, spec: ModelSpec, *, seed: int, n_jobs: int) -> BoostedTrees:
    def part(cutoffs: Array) -> tuple[Array, Array] | None:
        rows = known.at(cutoffs)
        return (rows.x, rows.y) if len(rows) else None

    train_rows = known.at(split.train)
    return BoostedTrees(spec, seed=seed, n_jobs=n_jobs).fit(
        train_rows.x,
        train_rows.y,
        validation=part(split.validation),
        calibration=part(split.calibration),
    )


def _version(estimator: str, spec: ModelSpec, fingerprint: str, *, horizon_days: int, seed: int) -> str:
    """The estimator's name and a digest of all that determines it; the base rate is just `base_rate`."""
    if estimator == BaseRate.name:
        return estimator
    origin = {
        "spec": spec.fingerprint(),
        "data": fingerprint,
        "horizon_days": horizon_days,
        "seed": seed,
        "xgboost": xgboost.__version__,
        "scikit-learn": sklearn.__version__,
    }
    return f"{estimator}-{hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:12]}"
