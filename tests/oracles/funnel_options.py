"""Funnels with options in plain Python, by their README: paths are followed event by event, not worked out in sets.

Shares nothing with the SQL it is held against, nor with the exhaustive search in `funnel`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import median


@dataclass(frozen=True)
class Event:
    """One event of a user; its time in seconds."""

    at: float
    name: str
    value: str | None = None


@dataclass(frozen=True)
class Step:
    """Which events fill a step, and whether it may be skipped."""

    names: str
    optional: bool = False


@dataclass(frozen=True)
class Exclusion:
    """Which events end a path that is past one step of those that may not be skipped, and not yet at another."""

    names: str
    first: int
    last: int


@dataclass(frozen=True)
class Funnel:
    """A funnel in order."""

    steps: tuple[Step, ...]
    window: float
    exclusions: tuple[Exclusion, ...] = ()
    semantics: str = "avila"

    @property
    def path(self) -> list[Step]:
        return [step for step in self.steps if not step.optional]


@dataclass(frozen=True)
class Attempt:
    """Where a way in has led: a time for each step or none; until when it may go on; its value at the first step.

    Each instant that it has taken steps at is a landing, with how many steps had been taken by then.
    """

    times: tuple[float | None, ...]
    depth: int
    reached: int
    ends_at: float
    is_excluded: bool
    value: str | None
    landings: tuple[tuple[float, int], ...]

    @property
    def entered_at(self) -> float:
        assert self.times[0] is not None
        return self.times[0]


def attempts(events: Sequence[Event], funnel: Funnel) -> list[Attempt]:
    """Every way in, from each instant with an event of the first step."""
    instants = sorted({event.at for event in events if event.name in funnel.steps[0].names})
    return [_followed(events, funnel, start) for start in instants]


def best(found: Iterable[Attempt], semantics: str) -> Attempt | None:
    """Which of some attempts counts, if any does."""
    found = list(found)
    if not found:
        return None
    if semantics == "mixpanel":
        return min(found, key=lambda attempt: attempt.entered_at)
    if semantics == "posthog":
        # Of ways in that meet, the last one goes on.
        found = [
            one
            for one in found
            if not any(other.entered_at > one.entered_at and one.landings[-1] in other.landings for other in found)
        ]
        chosen = min(
            found,
            key=lambda attempt: (
                -(attempt.depth + attempt.is_excluded * (attempt.reached - attempt.depth)),
                attempt.is_excluded,
                attempt.entered_at,
            ),
        )
        return None if chosen.is_excluded else chosen
    return min(found, key=lambda attempt: (-attempt.depth, attempt.entered_at, attempt.landings[-1]))


def _followed(events: Sequence[Event], funnel: Funnel, start: float) -> Attempt:
    path, expires = funnel.path, start + funnel.window
    by_instant: dict[float, list[Event]] = defaultdict(list)
    for event in events:
        by_instant[event.at].append(event)
    times: list[float] = []
    landings: list[tuple[float, int]] = []
    ends_at, is_excluded, reached = expires, False, 0
    for instant in sorted(at for at in by_instant if start <= at <= expires):
        run = _longest_run(by_instant[instant], path[len(times) :])
        if not run:
            continue
        excluded = _first_excluded(events, funnel, times, before=instant)
        if excluded is not None:
            ends_at, is_excluded, reached = excluded, True, len(times) + 1
            break
        times += [instant] * run
        landings.append((instant, len(times)))
    if len(times) < len(path) and not is_excluded:
        excluded = _first_excluded(events, funnel, times, before=float("inf"))
        if excluded is not None and excluded <= expires:
            ends_at, is_excluded, reached = excluded, True, len(times)
    values = [event.value for event in by_instant[start] if event.name in path[0].names and event.value is not None]
    placed, last = _placed(events, funnel, times, ends_at)
    return Attempt(
        times=tuple(placed),
        depth=last,
        reached=_number(funnel, reached),
        ends_at=ends_at,
        is_excluded=is_excluded,
        value=min(values, default=None),
        landings=tuple(landings),
    )


def _longest_run(events: Sequence[Event], steps: Sequence[Step]) -> int:
    """How many steps in a row simultaneous events fill, one each, in whichever order helps."""
    most = 0
    for order in permutations(events, min(len(events), len(steps))):
        run = 0
        while run < len(order) and order[run].name in steps[run].names:
            run += 1
        most = max(most, run)
    return most


def _first_excluded(events: Sequence[Event], funnel: Funnel, times: Sequence[float], *, before: float) -> float | None:
    """The first event after the steps reached that an exclusion forbids, earlier than some moment."""
    met = [
        event.at
        for exclusion in funnel.exclusions
        if exclusion.first <= len(times) < exclusion.last
        for event in events
        if event.name in exclusion.names and times[exclusion.first - 1] < event.at < before
    ]
    return min(met, default=None)


def _number(funnel: Funnel, depth: int) -> int:
    """The number of the n-th step that may not be skipped, among all."""
    numbers = [number for number, step in enumerate(funnel.steps, start=1) if not step.optional]
    return ([0, *numbers])[depth]


def _placed(
    events: Sequence[Event], funnel: Funnel, times: Sequence[float], ends_at: float
) -> tuple[list[float | None], int]:
    """The times in their places, with the optional steps between them."""
    if len(funnel.path) == len(funnel.steps):
        return [*times], len(times)
    path_names = "".join(step.names for step in funnel.path)
    placed: list[float | None] = []
    reached = 0
    taken: list[tuple[float, str]] = []
    for step in funnel.steps:
        if not step.optional:
            placed.append(times[reached] if reached < len(times) else None)
            reached += 1
            taken = []
            continue
        if reached > len(times):
            placed.append(None)
            continue
        low, high = times[reached - 1], times[reached] if reached < len(times) else None
        fitting = [
            event.at
            for event in events
            if event.name in step.names
            and low <= event.at <= (ends_at if high is None else high)
            and (event.name not in path_names or (event.at > low and (high is None or event.at < high)))
            and all(event.at > at or (event.at == at and event.name not in names) for at, names in taken)
        ]
        placed.append(min(fitting, default=None))
        if fitting:
            taken.append((min(fitting), step.names))
    return placed, _number(funnel, len(times))


def label(value: str | None) -> str:
    """How a value is called in a breakdown."""
    return "null" if value is None else f'"{value}"' if value in ("all", "other", "null") else value


Counted = dict[tuple[object, str, int], tuple[int, float | None, float | None, float | None, int, int]]


def counted(
    users: dict[str, Sequence[Event]],
    funnel: Funnel,
    period: Callable[[float], object],
    *,
    top: int | None = None,
    end: float,
) -> Counted:
    """Users, shares, median time, in progress and dropped, by period of entry, label and step.

    Args:
        users: Their events.
        funnel: Whose paths are counted.
        period: Which period a moment lies in.
        top: How many values have a label of their own, where the funnel is broken down.
        end: The last event of all.
    """
    chosen: dict[object, list[Attempt]] = defaultdict(list)
    all_time: Counter[str] = Counter()
    for events in users.values():
        found = attempts(events, funnel)
        overall = best(found, funnel.semantics)
        if overall is not None and overall.value is not None:
            all_time[overall.value] += 1
        for key in {period(attempt.entered_at) for attempt in found}:
            attempt = best((one for one in found if period(one.entered_at) == key), funnel.semantics)
            if attempt is not None:
                chosen[key].append(attempt)
    ranked = sorted(all_time, key=lambda value: (-all_time[value], value))[:top] if top else []
    answers: Counted = {}
    for key, found in chosen.items():
        groups = {"all": found}
        if top:
            for attempt in found:
                own = label(attempt.value) if attempt.value is None or attempt.value in ranked else "other"
                groups.setdefault(own, []).append(attempt)
        for name, group in groups.items():
            answers |= {(key, name, number): cell for number, cell in _cells(group, funnel, end).items()}
    return answers


def _cells(
    group: Sequence[Attempt], funnel: Funnel, end: float
) -> dict[int, tuple[int, float | None, float | None, float | None, int, int]]:
    cells = {}
    before, users_before = 0, 0
    for number, step in enumerate(funnel.steps, start=1):
        there = [attempt for attempt in group if len(attempt.times) >= number and attempt.times[number - 1] is not None]
        waits = [attempt.times[number - 1] - attempt.times[before - 1] for attempt in there] if before else []
        stopped = [] if number == len(funnel.steps) else [one for one in group if one.depth == number]
        cells[number] = (
            len(there),
            (len(there) / users_before if users_before else None) if before else 1.0,
            len(there) / len(group),
            median(waits) if waits else None,
            sum(end < one.ends_at for one in stopped),
            sum(end >= one.ends_at for one in stopped),
        )
        if not step.optional:
            before, users_before = number, len(there)
    return cells


def posthog_depth(events: Sequence[Event], funnel: Funnel) -> int:
    """How deep PostHog finds a user, 0 for one it leaves out; of events at different times, without optional steps.

    One pass over the events: each step keeps the entry that came to it last, and whether an excluded event has met it.
    Follows the description in PostHog's docs and its open funnel aggregation.
    """
    entry: list[float | None] = [None] * (len(funnel.path) + 1)
    met = [False] * (len(funnel.path) + 1)
    deepest, entered, left_out = 0, 0.0, False
    for event in sorted(events, key=lambda event: event.at):
        for exclusion in funnel.exclusions:
            for step in range(exclusion.first, exclusion.last) if event.name in exclusion.names else ():
                if entry[step] is None or event.at - entry[step] > funnel.window or met[step]:
                    continue
                met[step] = True
                left_out = left_out or (deepest == step and event.at - entered <= funnel.window)
        for step in range(len(funnel.path), 0, -1):
            if event.name not in funnel.path[step - 1].names:
                continue
            since, tainted = (event.at, False) if step == 1 else (entry[step - 1], met[step - 1])
            if since is None or event.at - since > funnel.window or entry[step] == since:
                continue
            if not tainted:
                entry[step], met[step] = since, False
            if step > deepest or (step == deepest and left_out):
                deepest, entered, left_out = step, since, tainted
        if entry[-1] is not None:
            break
    return 0 if left_out else deepest
