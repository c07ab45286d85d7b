"""Funnel depth and path by exhaustive search: shares nothing with the SQL it is held against."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product


@dataclass(frozen=True)
class Path:
    """The deepest path, then the earliest entered, then the earliest completed; times in seconds."""

    depth: int
    entered_at: float | None
    completed_at: float | None


Event = tuple[float, str]
Step = Callable[[str], bool]


def best_path(events: Sequence[Event], steps: Sequence[Step], *, window: float, order: str) -> Path:
    """Try every choice of distinct events; meant for a handful of events.

    Args:
        events: (time, name) of one user, in any order.
        steps: One predicate on the name per step.
        window: Longest allowed time from the first to the last chosen event, inclusive.
        order: ``ordered``, ``strict`` or ``unordered``.
    """
    found: list[tuple[int, float, float]] = []
    if order == "unordered":
        for depth in range(1, len(steps) + 1):
            for chosen_steps in permutations(steps, depth):
                found += _fill(events, chosen_steps, window, in_order=False)
    elif order == "ordered":
        for depth in range(1, len(steps) + 1):
            found += _fill(events, steps[:depth], window, in_order=True)
    else:
        for sequence in _orders(events):
            for start in range(len(sequence)):
                run = 0
                while (
                    run < len(steps)
                    and start + run < len(sequence)
                    and steps[run](sequence[start + run][1])
                    and sequence[start + run][0] - sequence[start][0] <= window
                ):
                    run += 1
                    found.append((run, sequence[start][0], sequence[start + run - 1][0]))
    if not found:
        return Path(0, None, None)
    depth, entered_at, completed_at = min(found, key=lambda path: (-path[0], path[1], path[2]))
    return Path(depth, entered_at, completed_at)


def _fill(
    events: Sequence[Event], steps: Sequence[Step], window: float, *, in_order: bool
) -> list[tuple[int, float, float]]:
    paths = []
    for chosen in product(range(len(events)), repeat=len(steps)):
        if len(set(chosen)) < len(chosen):
            continue
        times = [events[index][0] for index in chosen]
        if in_order and times != sorted(times):
            continue
        if max(times) - min(times) > window:
            continue
        if all(step(events[index][1]) for step, index in zip(steps, chosen, strict=True)):
            paths.append((len(steps), min(times), max(times)))
    return paths


def _orders(events: Sequence[Event]) -> list[list[Event]]:
    """Every order of the events that time allows: simultaneous ones may stand in any order."""
    by_time: dict[float, list[Event]] = {}
    for event in sorted(events):
        by_time.setdefault(event[0], []).append(event)
    choices = [list(permutations(tied)) for tied in by_time.values()]
    return [[event for tied in choice for event in tied] for choice in product(*choices)]
