"""What every scored model is in Dagster: an asset of predictions, a gate before it and a gate after."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import duckdb
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    MetadataValue,
    asset_check,
    multi_asset,
    multi_asset_check,
)

from ml.spec import ModelSpec
from orchestration import ledger
from orchestration.audits import gate
from orchestration.data_docs import PAGE, Suite
from orchestration.exhibits import hang, shown
from orchestration.house import House
from orchestration.model_checks import drift_of, leak_proofs, newest_decision
from orchestration.models import (
    ModelNight,
    features_of,
    forget_who_is_gone,
    history_of,
    predictions_of,
    read_features,
    read_predictions,
    refresh_model,
)
from orchestration.nights.retries import retried
from orchestration.pictures.drawing import poster
from orchestration.pictures.models import metric_history
from orchestration.warehouse import connect

if TYPE_CHECKING:
    from ml.audit import Audit

PLOTS = ("precision_recall", "calibration", "gain", "shap_summary")
"""The pictures of its test that the registry keeps beside a model, as `ml.plots` names them."""

DONE = {
    "trained": "",
    "scored": "it is not due to be trained again. ",
    "unchanged": "nothing has changed since it was trained and users were scored. ",
}


def scored_model(spec: ModelSpec, house: House, *, horizon_days: int, event: str | None = None) -> Definitions:
    """The asset ``ml/<model>_predictions`` and the Great Expectations gates around it.

    Args:
        spec: The model.
        house: What is declared, and where it lives.
        horizon_days: How far the label looks ahead.
        event: What the label looks for; None where it is any.
    """
    features = AssetKey(["features", f"{spec.name}_features"])
    settings = house.settings
    of_features = Suite(
        name=f"features of {spec.name}",
        asset=features.to_user_string(),
        about="Great Expectations: keys, ranges, nested windows and honest labels.",
        gate="features",
    )
    predictions, history = (AssetKey(["ml", f"{spec.name}_{what}"]) for what in ("predictions", "score_history"))

    of_scores = Suite(
        name=f"scores of {spec.name}",
        asset=predictions.to_user_string(),
        about="Great Expectations: one score a user, each a probability.",
        gate="scores",
    )

    @asset_check(
        asset=features,
        name=f"expectations_of_{spec.name}_features",
        description=of_features.about,
        blocking=True,
    )
    def features_gate(context: AssetCheckExecutionContext) -> AssetCheckResult:
        with retried(context, settings.retry_seconds), connect(settings) as connection:
            return gate(
                context,
                connection,
                settings,
                suite=of_features,
                inputs=_inputs(connection, spec, features_of(spec)),
                audit=lambda: _audit_features(connection, spec),
                verdict=house.declarations.gates.features,
            )

    @multi_asset(
        name=f"{spec.name}_model",
        specs=[
            AssetSpec(
                predictions,
                group_name="ml",
                kinds={"xgboost", "duckdb"},
                deps=[features],
                description=_described(spec, horizon_days=horizon_days),
            ),
            AssetSpec(
                history,
                group_name="ml",
                kinds={"duckdb"},
                deps=[features],
                description="The last predictions of each week. One row per user and week.",
            ),
        ],
        required_resource_keys={"night"},
    )
    def predict(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any]]:
        with retried(context, settings.retry_seconds), connect(settings) as connection:
            forget_who_is_gone(connection, spec)
            night = refresh_model(connection, settings, spec, horizon_days=horizon_days, event=event)
            kept = connection.execute(f"select count(*) from {history_of(spec)}").fetchall()[0][0]
            _hang(context.instance, connection, house, spec, night)
        said = f"{night.explanation} {night.decision}".strip()
        context.log.info(f"{spec.name}: {DONE[night.done]}{said} {night.users_scored:,} users scored")
        yield MaterializeResult(asset_key=history, metadata={"dagster/row_count": kept})
        yield MaterializeResult(
            asset_key=predictions,
            metadata={
                "dagster/row_count": night.users_scored,
                "verdict": night.verdict,
                "explanation": night.explanation,
                "decision": night.decision,
                "model_version": night.version,
                "model": MetadataValue.path(str(settings.root / night.home)),
                "data_docs": MetadataValue.path(str(settings.data_docs / PAGE)),
                "metrics": MetadataValue.md(_metrics_table(night)),
                **{
                    name.removeprefix(f"{night.estimator}."): value
                    for name, value in night.metrics.items()
                    if name.startswith(f"{night.estimator}.")
                },
            },
        )

    promotion, drift, leaks, scores = (
        AssetCheckSpec(
            f"newest_{spec.name}_model_was_promoted",
            asset=predictions,
            description="The newest model trained is the one that scores: it beats simple rules and the one before it.",
        ),
        AssetCheckSpec(
            f"{spec.name}_users_look_as_they_did",
            asset=predictions,
            description="Features and scores are spread as in the model's test: no index (PSI) is over its limit.",
        ),
        AssetCheckSpec(
            f"{spec.name}_training_cannot_look_ahead",
            asset=predictions,
            description="Labels dealt out at random are not learnt, and the parts of the split are an embargo apart.",
        ),
        AssetCheckSpec(
            f"expectations_of_{spec.name}_scores", asset=predictions, description=of_scores.about, blocking=True
        ),
    )

    # One step: each by itself would open the warehouse, and that costs more than most of them.
    @multi_asset_check(name=f"{spec.name}_predictions_checks", specs=[promotion, drift, leaks, scores])
    def predictions_checks(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
        verdict = house.declarations.gates.scores
        with retried(context, settings.retry_seconds), connect(settings) as connection:
            decision, promoted = newest_decision(connection, spec)
            found = drift_of(connection, settings, spec)
            holds, said = leak_proofs(connection, settings, spec, horizon_days=horizon_days)
            audited = gate(
                context,
                connection,
                settings,
                suite=of_scores,
                check=scores.name,
                inputs=_inputs(connection, spec, predictions_of(spec)),
                audit=lambda: _audit_scores(connection, spec),
                verdict=verdict,
            )
        context.log.info(said)
        yield AssetCheckResult(
            check_name=promotion.name, passed=promoted, severity=AssetCheckSeverity.WARN, description=decision
        )
        yield AssetCheckResult(
            check_name=drift.name,
            passed=not found.drifted,
            severity=AssetCheckSeverity.WARN,
            description=found.said,
            metadata={"psi": MetadataValue.md(_psi_table(found.psi))} if found.psi else {},
        )
        severity = AssetCheckSeverity.WARN if verdict == "warn" else AssetCheckSeverity.ERROR
        yield AssetCheckResult(check_name=leaks.name, passed=holds, severity=severity, description=said)
        yield audited

    return Definitions(assets=[predict], asset_checks=[features_gate, predictions_checks])


def _described(spec: ModelSpec, *, horizon_days: int) -> str:
    """The asset's description: what it answers, and its pictures."""
    pictures = [
        shown(f"{spec.name}_metric_history", kind="svg", alt="Its versions' metrics are drawn once one was tested."),
        *(
            shown(f"{spec.name}_{plot}", kind="png", alt=f"{plot.replace('_', ' ')}: drawn once a model was tested.")
            for plot in PLOTS
        ),
    ]
    return "\n\n".join([f"{spec.question.format(horizon_days=horizon_days)} One row per eligible user.", *pictures])


def _hang(
    instance: DagsterInstance, connection: duckdb.DuckDBPyConnection, house: House, spec: ModelSpec, night: ModelNight
) -> None:
    """Lay the pictures of what scores, and of all versions, where the page looks for them."""
    history = metric_history(connection, spec.name)
    drawn = poster(history).encode() if history else None
    hang(instance, f"{spec.name}_metric_history", drawn, kind="svg")
    for plot in PLOTS:
        png = house.settings.root / night.home / f"{plot}.png"
        hang(instance, f"{spec.name}_{plot}", png.read_bytes() if png.exists() else None, kind="png")


def _psi_table(psi: dict[str, float]) -> str:
    lines = [f"| {name} | {value:.3f} |" for name, value in list(psi.items())[:10]]
    return "\n".join(["| most drifted | PSI |", "|---|---:|", *lines])


def _audit_features(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "Audit":
    from ml.expectations import check_features

    return check_features(read_features(connection, spec), spec)


def _audit_scores(connection: duckdb.DuckDBPyConnection, spec: ModelSpec) -> "Audit":
    from ml.expectations import check_scores

    return check_scores(read_predictions(connection, spec))


def _inputs(connection: duckdb.DuckDBPyConnection, spec: ModelSpec, table: str) -> str:
    return ledger.fingerprint(connection, [table], spec.fingerprint(), ledger.code_of("ml"))


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
