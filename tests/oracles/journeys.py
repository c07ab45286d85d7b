"""Steps, transitions and lifecycles in plain Python: shares nothing with the models."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median

from tests.oracles.behaviour import Event, Session, month_of, week_of

PERIODS = {"day": lambda day: day, "week": week_of, "month": month_of}


def step_of(event: Event, page_views: Sequence[str]) -> str:
    """The page of a page view that has one, else the event's name."""
    return event.page if event.event_name in page_views and event.page is not None else event.event_name


@dataclass
class Move:
    """What is known of one step and the next."""

    users: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def transitions(
    sessions: Iterable[Session], page_views: Sequence[str]
) -> tuple[dict[tuple[str, str], tuple[int, int, float]], dict[str, tuple[int, int, int, int]]]:
    """Count what follows what.

    Returns:
        (transitions, users, median seconds) by (from, to), and (events, users, entries, exits) by step.
    """
    moves: dict[tuple[str, str], Move] = defaultdict(Move)
    users: dict[str, list[str]] = defaultdict(list)
    entries: Counter[str] = Counter()
    exits: Counter[str] = Counter()
    for session in sessions:
        steps = [step_of(event, page_views) for event in session.events]
        entries[steps[0]] += 1
        exits[steps[-1]] += 1
        for step in steps:
            users[step].append(session.user_key)
        for number in range(1, len(steps)):
            move = moves[steps[number - 1], steps[number]]
            move.users.append(session.user_key)
            gap = session.events[number].event_ts - session.events[number - 1].event_ts
            move.seconds.append(gap.total_seconds())
    return (
        {pair: (len(move.users), len(set(move.users)), median(move.seconds)) for pair, move in moves.items()},
        {step: (len(own), len(set(own)), entries[step], exits[step]) for step, own in users.items()},
    )


def calendar(first: date, last: date, grain: str) -> Iterator[tuple[date | None, date]]:
    """Each period from one date to another, with the period before it, which is none for the first."""
    previous, period = None, PERIODS[grain](first)
    while period <= last:
        yield previous, period
        day = period
        while PERIODS[grain](day) == period:
            day += timedelta(days=1)
        previous, period = period, day


def lifecycle(days_of: dict[str, set[date]], grain: str) -> dict[tuple[date, str], int]:
    """Users by (period, state)."""
    active = {user: {PERIODS[grain](day) for day in days} for user, days in days_of.items()}
    every_day = [day for days in days_of.values() for day in days]
    cells: dict[tuple[date, str], int] = {}
    for before, period in calendar(min(every_day), max(every_day), grain):
        now = {user for user, periods in active.items() if period in periods}
        then = {user for user, periods in active.items() if before in periods}
        born = {user for user in now if min(active[user]) == period}
        cells[period, "new"] = len(born)
        cells[period, "returning"] = len(now & then)
        cells[period, "resurrecting"] = len(now - then - born)
        cells[period, "dormant"] = len(then - now)
    return cells


def stickiness(days_of: dict[str, set[date]], grain: str) -> Counter[tuple[date, int]]:
    """Users by (period, number of days active in it)."""
    cells: Counter[tuple[date, int]] = Counter()
    for days in days_of.values():
        cells.update(Counter(PERIODS[grain](day) for day in days).items())
    return cells


def active_users(days_of: dict[str, set[date]]) -> dict[date, tuple[int, int, int]]:
    """Users active in the 1, 7 and 30 days that end with each day."""
    every_day = [day for days in days_of.values() for day in days]
    counts: dict[date, tuple[int, int, int]] = {}
    for _, day in calendar(min(every_day), max(every_day), "day"):
        ages = [{(day - other).days for other in days} for days in days_of.values()]
        one, seven, thirty = (sum(any(0 <= age < width for age in own) for own in ages) for width in (1, 7, 30))
        counts[day] = one, seven, thirty
    return counts
