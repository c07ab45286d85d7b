"""Checks that warn where the events do not fit what `avila.yml` says of them."""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    Definitions,
    multi_asset_check,
)

from orchestration import hints
from orchestration.house import open_house
from orchestration.nights.retries import retried
from orchestration.warehouse import connect

HOUSE = open_house()
EVENTS = AssetKey(["intermediate", "int_events_identified"])
HINTS = {
    "declared_events_occur": (hints.names_without_events, "Every event named in avila.yml is in some source."),
    "few_rows_are_copies": (hints.many_copies, "Few rows of a source count once with another."),
    "dates_have_a_zone": (hints.dates_without_zone, "Dates alone stay on their day in the reporting time zone."),
}


@multi_asset_check(
    name="hints",
    specs=[AssetCheckSpec(name, asset=EVENTS, description=said) for name, (_, said) in HINTS.items()],
)
def events_fit_declarations(context: AssetCheckExecutionContext) -> Iterator[AssetCheckResult]:
    """Look at the events once, and ask each question of what was seen."""
    with retried(context, HOUSE.settings.retry_seconds), connect(HOUSE.settings) as connection:
        sources = hints.arrived(connection, HOUSE.declarations, HOUSE.settings.lake)
    for name, (find, _) in HINTS.items():
        found = find(HOUSE.declarations, sources)
        yield AssetCheckResult(
            asset_key=EVENTS,
            check_name=name,
            passed=not found,
            severity=AssetCheckSeverity.WARN,
            description="\n".join(found) or None,
        )


defs = Definitions(asset_checks=[events_fit_declarations])
