"""What every scored model is in Dagster: an asset of predictions, a gate before it and a gate after."""

import base64
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    Definitions,
    MaterializeResult,
    MetadataValue,
    asset,
    asset_check,
)

from ml.expectations import Audit, check_features, check_scores
from ml.spec import ModelSpec
from ml.training import TrainingResult
from orchestration.house import House
from orchestration.models import read_features, read_predictions, refresh_model
from orchestration.warehouse import connect


def scored_model(spec: ModelSpec, house: House, *, horizon_days: int) -> Definitions:
    """The asset ``ml/<model>_predictions`` and the Great Expectations gates around it."""
    features, predictions = (
        AssetKey(["features", f"{spec.name}_features"]),
        AssetKey(["ml", f"{spec.name}_predictions"]),
    )

    @asset_check(
        asset=features,
        name=f"expectations_of_{spec.name}_features",
        description="Great Expectations: keys, ranges, nested windows and honest labels.",
        blocking=True,
    )
    def features_gate(context: AssetCheckExecutionContext) -> AssetCheckResult:
        with connect(house.settings) as connection:
            return _gate(context, check_features(read_features(connection, spec), spec))

    @asset(
        key=predictions,
        group_name="ml",
        kinds={"xgboost", "duckdb"},
        deps=[features],
        description=f"{spec.question.format(horizon_days=horizon_days)} One row per eligible user.",
    )
    def predict(context: AssetExecutionContext) -> MaterializeResult[Any]:
        with connect(house.settings) as connection:
            night = refresh_model(connection, house.settings, spec, horizon_days=horizon_days)
        training = night.training
        context.log.info(f"{spec.name}: {training.explanation} {night.users_scored:,} users scored")
        return MaterializeResult(
            metadata={
                "dagster/row_count": night.users_scored,
                "verdict": training.verdict,
                "explanation": training.explanation,
                "model_version": training.version,
                "model": MetadataValue.path(str(house.settings.root / night.home)),
                "metrics": MetadataValue.md(_metrics_table(training)),
                **{
                    name.removeprefix(f"{training.estimator}."): value
                    for name, value in training.metrics.items()
                    if name.startswith(f"{training.estimator}.")
                },
                **{
                    png.stem: MetadataValue.md(
                        f"![{png.stem}](data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()})"
                    )
                    for png in sorted((house.settings.root / night.home).glob("*.png"))
                },
            }
        )

    @asset_check(
        asset=predictions,
        name=f"expectations_of_{spec.name}_scores",
        description="Great Expectations: one score a user, each a probability.",
        blocking=True,
    )
    def scores_gate(context: AssetCheckExecutionContext) -> AssetCheckResult:
        with connect(house.settings) as connection:
            return _gate(context, check_scores(read_predictions(connection, spec)))

    return Definitions(assets=[predict], asset_checks=[features_gate, scores_gate])


def _gate(context: AssetCheckExecutionContext, audit: Audit) -> AssetCheckResult:
    outcome = f"{audit.checked} expectations over {audit.rows:,} rows"
    context.log.info(f"{outcome}: {'all hold' if audit.passed else '; '.join(audit.failures)}")
    return AssetCheckResult(
        passed=audit.passed,
        severity=AssetCheckSeverity.ERROR,
        description=f"{outcome} hold" if audit.passed else "\n".join(audit.failures),
        metadata={"expectations": audit.checked, "rows": audit.rows},
    )


def _metrics_table(training: TrainingResult) -> str:
    """Estimators down, metrics across, as Markdown."""
    names = [metric.split(".", 1) for metric in training.metrics]
    if not names:
        return training.explanation
    estimators = list(dict.fromkeys(estimator for estimator, _ in names))
    measures = list(dict.fromkeys(measure for _, measure in names))
    lines = ["| | " + " | ".join(measures) + " |", "|---|" + "---:|" * len(measures)]
    for estimator in estimators:
        cells = [f"{training.metrics.get(f'{estimator}.{measure}', float('nan')):.3f}" for measure in measures]
        lines.append(f"| {estimator} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
