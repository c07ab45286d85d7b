"""Once a week, the marts against a full rebuild."""

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetSelection,
    DefaultScheduleStatus,
    ScheduleDefinition,
    asset_check,
    define_asset_job,
)

from orchestration.house import open_house
from orchestration.leaks import recompute_snapshots
from orchestration.manifest import load_manifest
from orchestration.verify import cure, verify

HOUSE = open_house()


@asset_check(
    asset=["published", "marts"],
    name="marts_equal_a_full_rebuild",
    description="Every mart, brought up to date night by night, has the rows of one built anew from the same loads.",
)
def marts_equal_a_full_rebuild(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """Rebuild into a scratch warehouse and compare."""
    differences = verify(HOUSE.settings, HOUSE.declarations.dbt_vars(), load_manifest(HOUSE))
    for difference in differences:
        context.log.error(str(difference))
    return AssetCheckResult(
        passed=not differences,
        severity=AssetCheckSeverity.ERROR,
        description="\n".join([*map(str, differences), cure(HOUSE.settings)]) if differences else "No row differs.",
        metadata={"tables_that_differ": len(differences)},
    )


@asset_check(
    asset=["features", "user_snapshots"],
    name="snapshots_follow_from_what_was_known",
    description="Features of some users as of a past date, built anew from the events before it, are those stored.",
)
def snapshots_follow_from_what_was_known(context: AssetCheckExecutionContext) -> AssetCheckResult:
    """Rebuild a sample from the past."""
    found = recompute_snapshots(HOUSE.settings, HOUSE.declarations.dbt_vars())
    said = (
        "The history has no cutoff that lies in the past yet."
        if found.as_of is None
        else f"{found.users} users as of {found.as_of}: {found.count} differ"
        + (f", such as {', '.join(found.differing)}. {cure(HOUSE.settings)}" if found.count else ".")
    )
    context.log.info(said)
    return AssetCheckResult(passed=not found.count, severity=AssetCheckSeverity.ERROR, description=said)


weekly_verification = define_asset_job(
    name="weekly_verification",
    selection=AssetSelection.checks(marts_equal_a_full_rebuild, snapshots_follow_from_what_was_known),
    description="The marts against a full rebuild, and features against the past.",
    config={"loggers": {"console": {}}},
)

every_week = ScheduleDefinition(
    name="every_week",
    job=weekly_verification,
    cron_schedule=HOUSE.declarations.schedule.weekly,
    execution_timezone=HOUSE.declarations.reporting_timezone,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every week, by default on Sundays at 04:00, in the reporting time zone.",
)
