"""What every run that writes holds from its first step to its last: the warehouse, alone, and sound."""

from collections.abc import Iterator

from dagster import Definitions, InitResourceContext, resource

from orchestration.house import open_house
from orchestration.lock import hold
from orchestration.morning import tidy
from orchestration.recovery import recover
from orchestration.stopwatch import start, stop

HOUSE = open_house()


@resource(description="The only writer of a warehouse whose file can be read, measured from its first step on.")
def night(context: InitResourceContext) -> Iterator[None]:
    """Take the lock, set a broken file aside, and tidy up when all is done."""
    run_id, log = context.run_id or "", context.log
    assert log is not None
    with hold(HOUSE.settings, what=f"run {run_id}"):
        stopwatch = start(run_id)
        try:
            recovery = recover(HOUSE.settings)
            if recovery is not None:
                log.warning(str(recovery))
            yield
        except BaseException:
            stopwatch.failed = True
            raise
        finally:
            tidy(HOUSE, stopwatch, context.instance, say=log.info, warn=log.warning)
            stop(run_id)


defs = Definitions(resources={"night": night})
