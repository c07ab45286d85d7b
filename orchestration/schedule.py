"""When runs begin by themselves, as `avila.yml` says."""

from typing import Annotated

from pydantic import AfterValidator

from orchestration.declared import Declared


def _cron(value: str) -> str:
    """Check a cron expression.

    Raises:
        ValueError: It is none.
    """
    # Imported here: whoever declares no schedule spares what Dagster takes to load.
    from dagster._utils.schedules import is_valid_cron_string

    if not is_valid_cron_string(value):
        raise ValueError(f"{value!r} is no cron expression; write minute, hour, day, month, weekday: '0 2 * * *'")
    return value


Cron = Annotated[str, AfterValidator(_cron)]


class Schedule(Declared):
    """When runs begin by themselves while the scheduler runs, as cron in the reporting time zone."""

    nightly: Cron = "0 2 * * *"
    weekly: Cron = "0 4 * * 0"
