"""The model card: one page of Markdown that says what a model is, how good, and for what."""

from __future__ import annotations

import numpy as np

from ml.promotion import Decision
from ml.training import TrainingResult

_METRICS = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "lift_5": "lift at 5 %",
    "lift_10": "lift at 10 %",
    "lift_20": "lift at 20 %",
}


def model_card(result: TrainingResult, *, plots: tuple[str, ...] = (), decision: Decision | None = None) -> str:
    """Writes the card.

    Args:
        result: The training.
        plots: Names of PNG files beside the card, without their suffix.
        decision: Whether it scores from now on, and why.
    """
    spec = result.spec
    sections = [
        f"# {spec.name} `{result.version}`",
        f"**{spec.question.format(horizon_days=result.horizon_days)}** "
        f"Column predicted: `{spec.label}`. Scored by: {_words(result.estimator)}.",
        f"{result.explanation} Trained {result.trained_at:%Y-%m-%d %H:%M} UTC.",
        decision.reason if decision else "",
        "## Data",
        f"{result.n_labelled:,} snapshots with a known outcome, {result.positives:,} of them positive; "
        f"fingerprint `{result.data_fingerprint[:16]}`.",
        _split_table(result),
    ]
    if result.metrics:
        sections += ["## On the test part", _metric_table(result)]
        sections += ["## Had it been trained earlier", _back_test_table(result)]
        sections += ["\n".join(f"![{_words(name)}]({name}.png)" for name in plots)]
        sections += ["## Features", _feature_table(result)]
    sections += ["## Limits", _limits(result)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _split_table(result: TrainingResult) -> str:
    if result.split is None:
        return ""
    lines = ["| part | first as-of | last as-of | cutoffs | rows |", "|---|---|---|---:|---:|"]
    lines += [
        f"| {name} | {cutoffs[0]} | {cutoffs[-1]} | {len(cutoffs)} | {result.rows[name]:,} |"
        for name, cutoffs in result.split.parts().items()
    ]
    lines += [
        "",
        f"Each part's last horizon ({result.horizon_days} days) ends before the next part begins.",
    ]
    return "\n".join(lines)


def _metric_table(result: TrainingResult) -> str:
    estimators = list(dict.fromkeys(key.split(".")[0] for key in result.metrics))
    lines = [
        f"| | {' | '.join(_METRICS.values())} |",
        f"|---|{'---:|' * len(_METRICS)}",
    ]
    for estimator in estimators:
        values = [result.metrics.get(f"{estimator}.{metric}") for metric in _METRICS]
        ends = [result.intervals.get(f"{estimator}.{metric}") for metric in _METRICS]
        cells = " | ".join(
            "n/a" if value is None else f"{value:.4f}" + (f" ({end[0]:.3f} to {end[1]:.3f})" if end else "")
            for value, end in zip(values, ends, strict=True)
        )
        lines.append(f"| {_words(estimator)} | {cells} |")
    return "\n".join([*lines, "", "In brackets: 95 % intervals over users drawn with replacement."])


def _back_test_table(result: TrainingResult) -> str:
    if result.back_test.empty:
        return "The history is too short for a back-test."
    losses = result.back_test.pivot(index=["fold", "test_from", "test_until"], columns="estimator", values="log_loss")
    lines = ["| log loss as of | " + " | ".join(map(_words, losses.columns)) + " |"]
    lines += ["|---|" + "---:|" * len(losses.columns)]
    for (_, first, last), row in zip(losses.index.to_list(), losses.to_numpy(), strict=True):
        cells = " | ".join("n/a" if np.isnan(value) else f"{value:.4f}" for value in row)
        lines.append(f"| {first} to {last} | {cells} |")
    return "\n".join(lines)


def _feature_table(result: TrainingResult) -> str:
    spec = result.spec
    sign = {1: "never lowers it", 0: "", -1: "never raises it"}
    growth = dict(zip(spec.feature_names, spec.monotone_constraints, strict=True))
    lines = ["| feature | mean absolute SHAP value of the trees | its growth |", "|---|---:|---|"]
    lines += [
        f"| {name} | {effect:.4f} | {sign[growth[name]]} |"
        for name, effect in sorted(result.importance.items(), key=lambda item: -item[1])
    ]
    return "\n".join(lines)


def _limits(result: TrainingResult) -> str:
    limits = [
        "Probabilities describe users like those seen before, under the conditions seen before.",
        "Reasons say what moved the score, not what caused the behaviour.",
        "Snapshots of one user at several dates are not independent: intervals narrower than the metrics "
        "suggest should not be read into them.",
    ]
    if result.split is not None and not len(result.split.validation):
        limits.append("The history was too short to stop early, and to calibrate on a slice of time of its own.")
    elif result.split is not None and "tuning" in result.split.parts():
        limits.append("The history was too short to stop early and to calibrate on different slices.")
    if result.verdict == "no_model":
        limits.append("Nothing was trained: the probability is one number for everyone.")
    return "\n".join(f"- {limit}" for limit in limits)


def _words(name: str) -> str:
    return name.replace("_", " ")
