"""Lifetime value."""

from typing import Any

from dagster import AssetExecutionContext, AssetKey, MaterializeResult, asset

from orchestration.house import open_house
from orchestration.lifetime_value import refresh_clv
from orchestration.nights.retries import retried
from orchestration.warehouse import connect

HOUSE = open_house()


@asset(
    key=AssetKey(["ml", "clv_predictions"]),
    group_name="ml",
    kinds={"lifetimes", "duckdb"},
    deps=[AssetKey(["marts", "purchase_summaries"])],
    description=(
        f"How often will this customer buy in the next {HOUSE.declarations.clv.horizon_days} days, and for how much? "
        "BG/NBD and Gamma-Gamma, fitted to all purchases. One row per user who ever bought."
    ),
    required_resource_keys={"night"},
)
def clv_predictions(context: AssetExecutionContext) -> MaterializeResult[Any]:
    """Estimate lifetime values where a purchase has changed anything."""
    with retried(context, HOUSE.settings.retry_seconds), connect(HOUSE.settings) as connection:
        night = refresh_clv(connection, HOUSE.declarations.clv)
    context.log.info(f"{'' if night.is_new else 'no purchase has changed anything. '}{night.said}")
    total = {} if night.total is None else {"total_clv": night.total}
    return MaterializeResult(
        metadata={
            "dagster/row_count": night.customers,
            "estimated": night.estimated,
            "explanation": night.said,
            **total,
            **night.figures,
        }
    )
