"""New tries, later and later, of what may pass by itself; none of what will not."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dagster import AssetCheckExecutionContext, AssetExecutionContext, RetryRequested

from orchestration.ingestion import faults
from orchestration.nights.lock import NightRunning
from orchestration.warehouse import DbtFailed

TRIES = 4
"""How often what may pass is tried anew."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 60.0
PATIENCE_SECONDS = 3600.0
"""How long a scheduled run waits for another that writes the warehouse, as `make run` may."""

Result = TypeVar("Result")
Context = AssetExecutionContext | AssetCheckExecutionContext


def may_pass(error: BaseException) -> bool:
    """Whether an error may be gone at a new try: a file that is locked, a share or an endpoint that does not answer.

    A failed check, a wrong declaration or a full disk is not: it stays until someone acts.
    """
    if isinstance(error, DbtFailed):
        return bool(faults.LOCKED.search(str(error)))
    return isinstance(error, NightRunning) or faults.may_pass(error)


def pause(number: int, first_seconds: float) -> float:
    """Seconds to wait before a new try: twice as long each time, and less by up to half, so that no two wait alike.

    Args:
        number: How many tries have failed since the first, from 0 on.
        first_seconds: The longest first wait.
    """
    longest = min(max(first_seconds, SHORTEST_SECONDS) * 2.0**number, LONGEST_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - nothing depends on its being hard to guess


@contextmanager
def retried(context: Context, first_seconds: float) -> Iterator[None]:
    """Have Dagster try a step again where an error may pass.

    Raises:
        RetryRequested: It may, and there are tries left; Dagster counts them.
    """
    try:
        yield
    except Exception as error:
        if not may_pass(error) or context.retry_number >= TRIES:
            raise
        raise again(context, str(error), first_seconds) from error


def again(context: Context, reason: str, first_seconds: float) -> RetryRequested:
    """What a step raises to be tried again, once it has said why."""
    seconds = pause(context.retry_number, first_seconds)
    context.log.warning(f"{reason}\nThis may pass: try {context.retry_number + 1} of {TRIES} in {seconds:.0f} s.")
    return RetryRequested(max_retries=TRIES, seconds_to_wait=seconds)


def patiently(
    work: Callable[[], Result], *, first_seconds: float, say: Callable[[str], None], patience: float = PATIENCE_SECONDS
) -> Result:
    """Do some work, again and again while what it raises may pass.

    Args:
        work: What to do.
        first_seconds: The longest wait before the first new try.
        say: Told of each wait, and why.
        patience: After how many seconds another run is no longer waited for; all else is tried `TRIES` times anew.

    Raises:
        Exception: What the work raised last.
    """
    began, number = time.monotonic(), 0
    while True:
        try:
            return work()
        except Exception as error:
            is_over = time.monotonic() - began >= patience if isinstance(error, NightRunning) else number >= TRIES
            if not may_pass(error) or is_over:
                raise
            seconds = pause(number, first_seconds)
            say(f"{error}\nThis may pass: the next try is in {seconds:.0f} s.")
        time.sleep(seconds)
        number += 1
