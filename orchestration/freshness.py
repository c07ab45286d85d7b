"""How old marts may be before Dagster calls them stale: as old as before an alert goes out."""

from datetime import timedelta

from dagster import FreshnessPolicy

from orchestration.declarations import Declarations

_WARN_SHARE = 0.75
"""Of the limit. By default that is 27 hours: a night that is late, and not yet one that failed."""


def freshness_of_marts(declarations: Declarations) -> FreshnessPolicy:
    """Stale after `alerts.stale.after_hours`; a warning after three quarters of that."""
    # Dagster looks once a minute at most.
    limit = max(timedelta(hours=declarations.alerts.stale.after_hours), timedelta(minutes=2))
    return FreshnessPolicy.time_window(fail_window=limit, warn_window=limit * _WARN_SHARE)
