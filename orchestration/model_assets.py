"""What every scored model is in Dagster: an asset of predictions, a gate before it and a gate after."""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import duckdb
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

from ml.spec import ModelSpec
from orchestration import ledger
from orchestration.gates import Verdict
from orchestration.house import House
from orchestration.models import (
    ModelNight,
    features_of,
    predictions_of,
    read_features,
    read_predictions,
    refresh_model,
)
from orchestration.warehouse import connect

if TYPE_CHECKING:
    from ml.expectations import Audit

DONE = {
    "trained": "",
    "scored": "no outcome has changed since it was trained. ",
    "unchanged": "nothing has changed since it was trained and users were scored. ",
}


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
        return _gate(
            context, house, spec, features_of(spec), _audit_features, verdict=house.declarations.gates.features
        )

    @asset(
        key=predictions,
        group_name="ml",
        kinds={"xgboost", "duckdb"},
        required_resource_keys={"night"},
        deps=[features],
        description=f"{spec.question.format(horizon_days=horizon_days)} One row per eligible user.",
    )
    def predict(context: AssetExecutionContext) -> MaterializeResult[Any]:
        with connect(house.settings) as connection:
            night = refresh_model(connection, house.settings, spec, horizon_days=horizon_days)
        context.log.info(f"{spec.name}: {DONE[night.done]}{night.explanation} {night.users_scored:,} users scored")
        return MaterializeResult(
            metadata={
                "dagster/row_count": night.users_scored,
                "verdict": night.verdict,
                "explanation": night.explanation,
                "model_version": night.version,
                "model": MetadataValue.path(str(house.settings.root / night.home)),
                "metrics": MetadataValue.md(_metrics_table(night)),
                **{
                    name.removeprefix(f"{night.estimator}."): value
                    for name, value in night.metrics.items()
                    if name.startswith(f"{night.estimator}.")
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
        verdict = house.declarations.gates.scores
        return _gate(context, house, spec, predictions_of(spec), _audit_scores, verdict=verdict)

    return Definitions(assets=[predict], asset_checks=[features_gate, scores_gate])


def _audit_features(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "Audit":
    from ml.expectations import check_features

    return check_features(read_features(connection, spec), spec)


def _audit_scores(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "Audit":
    from ml.expectations import check_scores

    return check_scores(read_predictions(connection, spec))


def _gate(
    context: AssetCheckExecutionContext,
    house: House,
    spec: ModelSpec,
    table: str,
    audit: Callable[[duckdb.DuckDBPyConnection, ModelSpec], "Audit"],
    *,
    verdict: Verdict,
) -> AssetCheckResult:
    """The audit of a table, or what it found before in the same rows: Great Expectations takes seconds to import."""
    work = f"audit of {table}"
    with connect(house.settings) as connection:
        inputs = ledger.fingerprint(connection, [table], spec.fingerprint(), ledger.code_of("ml"))
        passed_before = ledger.known(connection, work, inputs)
        found = json.loads(passed_before) if passed_before else asdict(audit(connection, spec))
        if found["passed"]:
            ledger.note(connection, work, inputs, json.dumps(found))
    outcome = f"{found['checked']} expectations over {found['rows']:,} rows"
    all_hold = "all hold, as they did for the same rows before" if passed_before else "all hold"
    context.log.info(f"{outcome}: {all_hold if found['passed'] else '; '.join(found['failures'])}")
    return AssetCheckResult(
        passed=found["passed"],
        severity=AssetCheckSeverity.WARN if verdict == "warn" else AssetCheckSeverity.ERROR,
        description=f"{outcome} hold" if found["passed"] else "\n".join(found["failures"]),
        metadata={"expectations": found["checked"], "rows": found["rows"]},
    )


def _metrics_table(night: ModelNight) -> str:
    """Estimators down, metrics across, as Markdown."""
    names = [metric.split(".", 1) for metric in night.metrics]
    if not names:
        return night.explanation
    estimators = list(dict.fromkeys(estimator for estimator, _ in names))
    measures = list(dict.fromkeys(measure for _, measure in names))
    lines = ["| | " + " | ".join(measures) + " |", "|---|" + "---:|" * len(measures)]
    for estimator in estimators:
        cells = [f"{night.metrics.get(f'{estimator}.{measure}', float('nan')):.3f}" for measure in measures]
        lines.append(f"| {estimator} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
