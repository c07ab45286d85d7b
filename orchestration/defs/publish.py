"""The last asset: audited marts, swapped in for people to query."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any

import duckdb
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)

from orchestration.defs.transform import MANIFEST, TRANSLATOR
from orchestration.freshness import freshness_of_marts
from orchestration.gates import Gate, PublicationBlocked
from orchestration.house import open_house
from orchestration.increments import applied_seq
from orchestration.ingestion.lake import Lake
from orchestration.nights.recovery import forget
from orchestration.nights.retries import retried
from orchestration.nights.runs import finish_run, note_steps
from orchestration.nights.stopwatch import running, utc_now
from orchestration.publish import PICTURES, PublicationFailed, publish
from orchestration.warehouse import connect

HOUSE = open_house()


@asset(
    key=["published", "marts"],
    group_name="published",
    kinds={"duckdb", "parquet"},
    freshness_policy=freshness_of_marts(HOUSE.declarations),
    required_resource_keys={"night"},
    deps=[
        TRANSLATOR.get_asset_key(node)
        for node in MANIFEST["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts"
    ],
    description=(
        "`published/marts.duckdb`: every mart of the newest night that passed its audit, read-only; beside it "
        "`report.html`, a page to read or to mail, and its `pictures/`."
    ),
)
def published_marts(context: AssetExecutionContext) -> MaterializeResult[Any]:
    """Publish, unless a gate says no."""
    with retried(context, HOUSE.settings.retry_seconds), connect(HOUSE.settings) as connection:
        finish_run(connection, run_id=context.run_id, finished_at=utc_now(), status="published")
        stopwatch = running(context.run_id)
        if stopwatch is not None:
            # People query the published file: it has all that came before it.
            note_steps(connection, run_id=context.run_id, steps=stopwatch.steps, whole=stopwatch.whole())
        try:
            publication = publish(
                connection, HOUSE.settings, run_id=context.run_id, gates=latest_gates(context), pages=pages
            )
        except PublicationBlocked as error:
            finish_run(connection, run_id=context.run_id, finished_at=utc_now(), status="blocked")
            raise Failure(f"Not published; the last published marts stay as they are.\n{error}") from error
        except PublicationFailed as error:
            finish_run(connection, run_id=context.run_id, finished_at=utc_now(), status="failed")
            raise Failure(str(error)) from error
        forget(HOUSE.settings)
        # Until every model had taken them in, the rows of files that were replaced were still wanted.
        with closing(Lake(HOUSE.settings.lake)) as lake:
            lake.prune(applied_seq(connection))
    context.log.info(f"published {publication.path} ({publication.size_bytes / 1e6:,.1f} MB)")
    counts = [f"| {name} | {rows:,} |" for name, rows in publication.tables.items()]
    return MaterializeResult(
        metadata={
            "path": MetadataValue.path(str(publication.path)),
            "report": MetadataValue.path(str(HOUSE.settings.published / "report.html")),
            "pictures": MetadataValue.path(str(HOUSE.settings.published / PICTURES)),
            "size_mb": publication.size_bytes / 1e6,
            "tables": MetadataValue.md("\n".join(["| table | rows |", "|---|---:|", *counts])),
        }
    )


def pages(connection: duckdb.DuckDBPyConnection, published_at: datetime) -> Mapping[str, str]:
    """The report and its pictures."""
    # Imported here: the UI, which loads this module too, writes no pages.
    from orchestration.page import compose

    return compose(connection, timezone=HOUSE.declarations.reporting_timezone, published_at=published_at)


def latest_gates(context: AssetExecutionContext) -> list[Gate]:
    """Every check of the code location as it last ran, in this run or before."""
    keys = sorted(context.job_def.asset_layer.asset_graph.asset_check_keys)
    records = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    gates = []
    for key, record in sorted(records.items()):
        evaluation = record.evaluation
        if isinstance(evaluation, AssetCheckEvaluation):
            gates.append(
                Gate(
                    asset=key.asset_key.to_user_string(),
                    name=key.name,
                    passed=evaluation.passed,
                    is_warning=evaluation.severity == AssetCheckSeverity.WARN,
                    reason=evaluation.description or "",
                )
            )
    return gates
