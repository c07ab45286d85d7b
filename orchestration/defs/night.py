"""What every run that writes holds from its first step to its last: the warehouse, alone, and sound."""

from collections.abc import Iterator
from contextlib import ExitStack

from dagster import Definitions, InitResourceContext, resource

from orchestration.defs.resources import listen_to
from orchestration.house import open_house
from orchestration.nights.lock import hold
from orchestration.nights.morning import tidy
from orchestration.nights.recovery import recover
from orchestration.nights.retries import patiently
from orchestration.nights.stopwatch import start, stop

HOUSE = open_house()


@resource(description="The only writer of a warehouse whose file can be read, measured from its first step on.")
def night(context: InitResourceContext) -> Iterator[None]:
    """Take the lock, set a broken file aside, and tidy up when all is done."""
    run_id, log = context.run_id or "", context.log
    assert log is not None
    listen_to(log)
    seconds, what = HOUSE.settings.retry_seconds, f"run {run_id}"
    with ExitStack() as stack:
        patiently(lambda: stack.enter_context(hold(HOUSE.settings, what=what)), first_seconds=seconds, say=log.warning)
        stopwatch = start(run_id)
        try:
            recovery = patiently(lambda: recover(HOUSE.settings), first_seconds=seconds, say=log.warning)
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
