"""Training: the model against simple rules, on outcomes later than anything either has seen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from ml.backtest import back_test
from ml.baselines import BaseRate
from ml.bootstrap import intervals
from ml.buy_till_you_die import BuyTillYouDie
from ml.drift import Reference
from ml.growing import MOST_ROWS, grow
from ml.metrics import evaluate
from ml.predictor import Predictor
from ml.rules import fit_rules, fit_start
from ml.snapshots import Array, Snapshots
from ml.spec import ModelSpec
from ml.splits import TimeSplit, candidate_splits
from ml.tuning import trials_for, tune

if TYPE_CHECKING:
    from ml.promotion import Decision

Verdict = Literal["model", "simple_rule", "no_model"]

LIBRARIES = ("lifetimes", "optuna", "scikit-learn", "xgboost-cpu")
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
        event: What the label looks for; None where it is any.
        seed: Of the trees' sampling.
        data_fingerprint: SHA-256 of the labelled rows.
        n_labelled: Rows with a known outcome.
        positives: How many of them are positive.
        split: The cutoffs of each part; None without a test.
        rows: Rows of each part, by name.
        trials: How many hyper-parameters were tried; 0 where the spec's were kept.
        metrics: On the test part, flat: `xgboost.roc_auc`, `base_rate.log_loss`, … Empty without a test.
        intervals: The 95 % interval of each metric, over users drawn with replacement.
        back_test: One row per fold and estimator, with its metrics; see `ml.backtest.back_test`.
        rounds: Trees kept; 0 without any.
        importance: Mean absolute contribution in log-odds of each feature on the test part, of the trees.
        shap: Contributions of a sample of the test part, shape (m, k), and `shap_x` its features.
        reference: The test part's features and probabilities, as later nights are compared with; None without a test.
        test_rows: The test part itself; None without one.
        test: The test part: user_key, as_of, the label and one column of probabilities per estimator.
        trained_at: When, UTC.
    """

    spec: ModelSpec
    predictor: Predictor
    version: str
    verdict: Verdict
    explanation: str
    horizon_days: int
    event: str | None
    seed: int
    data_fingerprint: str
    n_labelled: int
    positives: int
    split: TimeSplit | None = None
    rows: dict[str, int] = field(default_factory=dict)
    trials: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    back_test: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    rounds: int = 0
    importance: dict[str, float] = field(default_factory=dict)
    shap: Array = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    shap_x: Array = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    reference: Reference | None = field(default=None, repr=False)
    test_rows: Snapshots | None = field(default=None, repr=False)
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
            "event": self.event,
            "seed": self.seed,
            "trials": self.trials,
            "rounds": self.rounds,
        }

    def to_row(self, *, path: str = "", decision: Decision | None = None, as_of: date | None = None) -> dict[str, Any]:
        """One row of `ops.model_versions`; metrics, features and params are JSON text.

        Args:
            path: Where the registry keeps it.
            decision: Whether it scores from now on, and why.
            as_of: The newest as-of date there was.
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
            "is_champion": decision.promoted if decision else True,
            "decision": decision.reason if decision else "",
            "trained_as_of": as_of,
            "intervals": json.dumps(self.intervals, sort_keys=True),
            "back_test": self.back_test.to_json(orient="records"),
        }


def train(
    frame: pd.DataFrame,
    spec: ModelSpec,
    *,
    horizon_days: int,
    event: str | None = None,
    seed: int = 0,
    n_jobs: int = 2,
    tuning_seconds: float = 0.0,
) -> TrainingResult:
    """Trains the model and the simple rules, tests all on the latest outcomes and picks what scores.

    The trees grow on the oldest part, with hyper-parameters searched for and stopped early on a later one, are
    calibrated on one later still (see `ml.growing.grow` where there is none), grown again in the same number on all of
    these, and meet the test part once. The
    simple rules, which need no tuning, may use every row before the test. The trees are published if their log loss on
    the test is lower than every rule's. A history too small for that yields the base rate of all labelled rows, never
    an error.

    Args:
        frame: One row per (user_key, as_of) with the spec's features and label; any row order.
        spec: The model.
        horizon_days: How far the label looks ahead, the least embargo between parts.
        event: What the label looks for; None where it is any. Only noted.
        seed: Of the search and the trees' sampling.
        n_jobs: Threads; never changes the result.
        tuning_seconds: What the search may cost, about; see `ml.tuning.trials_for`.

    Raises:
        ValueError: The frame breaks its contract (see `Snapshots.from_frame`), or the horizon is not
            positive.
    """
    known = Snapshots.from_frame(frame, spec).labelled()
    fingerprint = known.fingerprint()
    split, obstacle = _choose_split(known, spec, horizon_days=horizon_days)
    facts: dict[str, Any] = {
        "horizon_days": horizon_days,
        "event": event,
        "seed": seed,
        "data_fingerprint": fingerprint,
        "n_labelled": len(known),
        "positives": int(known.y.sum()),
    }
    if split is None:
        return TrainingResult(
            **facts,
            spec=spec,
            predictor=BaseRate(spec).fit(known.x, known.y),
            version=BaseRate.name,
            verdict="no_model",
            explanation=f"No {spec.name} model: {obstacle}; everyone gets the base rate.",
        )

    start = fit_start(known.at(split.train), spec, horizon_days=horizon_days)
    tuned, trials = _tuned(known, split, spec, start, seed=seed, n_jobs=n_jobs, seconds=tuning_seconds)
    before, test = known.at(split.before_test), known.at(split.test)
    trees = grow(known, split, tuned, start, horizon_days=horizon_days, seed=seed, n_jobs=n_jobs)
    contenders = [trees, *fit_rules(before, spec, horizon_days=horizon_days)]
    predicted = {contender.name: contender.predict_proba(test.x)[:, 1] for contender in contenders}
    measured = {name: evaluate(test.y, probability) for name, probability in predicted.items()}
    loss = {name: metrics["log_loss"] for name, metrics in measured.items()}
    best_rule = min(contenders[1:], key=lambda rule: loss[rule.name])
    wins = loss[trees.name] < loss[best_rule.name]
    winner = trees if wins else best_rule
    sample = test.x[:: max(1, -(-len(test) // _IMPORTANCE_ROWS))]
    shap = trees.contributions(sample)
    return TrainingResult(
        **facts,
        spec=tuned,
        predictor=winner,
        version=_version(winner.name, spec, fingerprint, horizon_days=horizon_days, seed=seed, trials=trials),
        verdict="model" if wins else "simple_rule",
        explanation=(
            f"The trees' log loss on the test, {loss[trees.name]:.4f}, is "
            f"{'lower than' if wins else 'not lower than'} that of the best simple rule, "
            f"{best_rule.name.replace('_', ' ')}: {loss[best_rule.name]:.4f}; "
            f"{'the trees score.' if wins else 'the rule scores.'}"
        ),
        split=split,
        rows={name: len(known.at(cutoffs)) for name, cutoffs in split.parts().items()},
        trials=trials,
        metrics={f"{name}.{metric}": value for name, values in measured.items() for metric, value in values.items()},
        intervals={
            f"{name}.{metric}": ends
            for name, probability in predicted.items()
            for metric, ends in intervals(test.y, probability, test.user_keys, seed=seed).items()
        },
        back_test=back_test(
            known.of_some_users(MOST_ROWS),
            tuned,
            horizon_days=horizon_days,
            rounds=trees.rounds_,
            seed=seed,
            n_jobs=n_jobs,
        ),
        rounds=trees.rounds_,
        importance=dict(zip(spec.feature_names, map(float, np.abs(shap).mean(axis=0)), strict=True)),
        shap=shap,
        shap_x=sample,
        test_rows=test,
        reference=Reference.of(spec, test.x, predicted[winner.name]),
        test=pd.DataFrame({"user_key": test.user_keys, "as_of": test.as_of, spec.label: test.y, **predicted}),
    )


def _tuned(
    known: Snapshots,
    split: TimeSplit,
    spec: ModelSpec,
    start: BuyTillYouDie | None,
    *,
    seed: int,
    n_jobs: int,
    seconds: float,
) -> tuple[ModelSpec, int]:
    """The spec with the hyper-parameters that a search found, and how many it tried."""
    if not len(split.validation):
        return spec, 0
    rows, later = known.at(split.train).of_some_users(MOST_ROWS), known.at(split.validation).of_some_users(MOST_ROWS)
    trials = trials_for(len(rows), len(spec.features), seconds=seconds)
    trees, _ = tune(spec, (rows.x, rows.y), (later.x, later.y), start=start, trials=trials, seed=seed, n_jobs=n_jobs)
    return replace(spec, trees=trees), trials if trials > 1 else 0


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
        scarce = min(known.at(cutoffs).rarest for cutoffs in split.parts().values())
        if scarce >= spec.min_class_rows:
            return split, ""
    return None, (f"a part of the split holds only {scarce} rows of one outcome and {spec.min_class_rows} are needed")


def _version(estimator: str, spec: ModelSpec, fingerprint: str, *, horizon_days: int, seed: int, trials: int) -> str:
    """The estimator's name and a digest of all that determines it; the base rate is just `base_rate`."""
    if estimator == BaseRate.name:
        return estimator
    origin = {
        "spec": spec.fingerprint(),
        "data": fingerprint,
        "horizon_days": horizon_days,
        "seed": seed,
        "trials": trials,
        **{library: version_of(library) for library in LIBRARIES},
    }
    return f"{estimator}-{hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:12]}"
