"""When the night runs."""

from dagster import AssetCheckKey, AssetKey, AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from orchestration.house import open_house

HOUSE = open_house()

nightly = define_asset_job(
    name="nightly",
    # What takes a rebuild to find out is asked once a week: see verify.py.
    selection=AssetSelection.all()
    - AssetSelection.checks(
        AssetCheckKey(AssetKey(["published", "marts"]), "marts_equal_a_full_rebuild"),
        AssetCheckKey(AssetKey(["features", "user_snapshots"]), "snapshots_follow_from_what_was_known"),
    ),
    description="Dumps to published marts, in one run.",
    config={"loggers": {"console": {}}},
)

every_night = ScheduleDefinition(
    name="every_night",
    job=nightly,
    cron_schedule=HOUSE.declarations.schedule.nightly,
    execution_timezone=HOUSE.declarations.reporting_timezone,
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night, by default at 02:00, in the reporting time zone.",
)
