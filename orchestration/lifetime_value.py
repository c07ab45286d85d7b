"""From purchase summaries to what each customer is expected to bring. Dagster-free.

Both models are fitted anew wherever a summary has changed: that is cheap, and keeps the rule that the same events give
the same marts, whatever night they came in.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from orchestration import ledger
from orchestration.declarations import Clv

SUMMARIES, PREDICTIONS = "marts.purchase_summaries", "ml.clv_predictions"

_WORK = "lifetime values"


@dataclass(frozen=True, kw_only=True)
class ClvNight:
    """What one night did about lifetime values.

    Attributes:
        is_new: Whether anything was estimated anew, or left as it was, since no summary has changed.
        said: How it went, one sentence.
        customers: How many users have ever bought.
        estimated: How many of them have a value.
        total: The sum of their values; None without any.
        figures: The parameters of both models, and how far frequency and value go together; empty without a fit.
    """

    is_new: bool
    said: str
    customers: int
    estimated: int
    total: float | None
    figures: dict[str, float] = field(default_factory=dict)


def refresh_clv(connection: duckdb.DuckDBPyConnection, declared: Clv) -> ClvNight:
    """Estimate the lifetime value of every customer, where a purchase summary, the code or the declaration has changed.

    Args:
        connection: The open warehouse.
        declared: How far to look, and the discount.
    """
    facts = (declared.model_dump(), ledger.code_of("ml"))
    known = ledger.known(connection, _WORK, ledger.fingerprint(connection, [SUMMARIES, PREDICTIONS], *facts))
    if known:
        return ClvNight(**{**json.loads(known), "is_new": False})
    # Imported here: a night without news should not pay for it.
    from ml.clv import estimate

    summaries = connection.execute(
        f"""
        select
            user_key,
            first_purchase_date + cast(age_days as integer) + 1 as as_of,
            frequency,
            purchase_span_days as recency,
            age_days as age,
            mean_repeat_value as mean_value
        from {SUMMARIES}
        order by user_key
        """
    ).df()
    estimates = estimate(summaries, horizon_days=declared.horizon_days, discount_per_year=declared.discount_per_year)
    rows = summaries[["user_key", "as_of"]].join(estimates.rows)
    connection.register("estimates", rows)
    connection.begin()
    connection.execute(f"delete from {PREDICTIONS}")
    # A frame has NaN where SQL has null.
    connection.execute(
        f"""
        insert into {PREDICTIONS} by name
        select
            user_key,
            as_of,
            nullif(probability_alive, 'nan'::double) as probability_alive,
            nullif(expected_purchases, 'nan'::double) as expected_purchases,
            nullif(expected_order_value, 'nan'::double) as expected_order_value,
            nullif(clv, 'nan'::double) as clv,
            no_estimate_because
        from estimates
        order by user_key
        """
    )
    night = _told(connection, estimates.said, {**estimates.parameters, "correlation": estimates.correlation})
    inputs = ledger.fingerprint(connection, [SUMMARIES, PREDICTIONS], *facts)
    ledger.note(connection, _WORK, inputs, json.dumps(asdict(night)))
    connection.commit()
    connection.unregister("estimates")
    return night


def _told(connection: duckdb.DuckDBPyConnection, said: str, figures: dict[str, float]) -> ClvNight:
    query = f"select count(*), count(clv), sum(clv) from {PREDICTIONS}"
    customers, estimated, total = connection.execute(query).fetchall()[0]
    known: dict[str, Any] = {name: value for name, value in figures.items() if value == value}
    return ClvNight(is_new=True, said=said, customers=customers, estimated=estimated, total=total, figures=known)
