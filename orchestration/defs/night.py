"""What every run that writes holds from its first step to its last: the warehouse, alone, and sound."""

from collections.abc import Iterator

from dagster import Definitions, InitResourceContext, resource

from orchestration.house import open_house
from orchestration.lock import hold
from orchestration.recovery import recover

HOUSE = open_house()


@resource(description="The only writer of a warehouse whose file can be read.")
def night(context: InitResourceContext) -> Iterator[None]:
    """Take the lock, and set a broken file aside."""
    with hold(HOUSE.settings, what=f"run {context.run_id}"):
        recovery = recover(HOUSE.settings)
        if recovery is not None and context.log is not None:
            context.log.warning(str(recovery))
        yield


defs = Definitions(resources={"night": night})
