"""RFM and purchases in plain Python: shares nothing with the models."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tests.oracles.behaviour import fifth

# Recency, frequency and what whoever scores so is called, as the design says; together they must be the whole grid.
SEGMENTS: list[tuple[set[int], set[int], str]] = [
    ({5}, {4, 5}, "champions"),
    ({3, 4}, {4, 5}, "loyal"),
    ({4, 5}, {2, 3}, "potential_loyalist"),
    ({5}, {1}, "new"),
    ({4}, {1}, "promising"),
    ({3}, {3}, "need_attention"),
    ({3}, {1, 2}, "about_to_sleep"),
    ({1, 2}, {5}, "cant_lose"),
    ({1, 2}, {3, 4}, "at_risk"),
    ({1, 2}, {2}, "hibernating"),
    ({2}, {1}, "hibernating"),
    ({1}, {1}, "lost"),
]


@dataclass(frozen=True)
class Money:
    """Revenue of a day, and whether it came with a key event."""

    day: date
    key_events: int
    revenue: Decimal


def segment(r_score: int, f_score: int) -> str:
    """The one segment of a cell."""
    (name,) = [name for r, f, name in SEGMENTS if r_score in r and f_score in f]
    return name


def as_of_dates(first: date, last: date) -> list[date]:
    """The last day of each month that is over, and the last day of all."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [day for day in days if day == last or (day + timedelta(days=1)).day == 1]


def scores(
    money: Mapping[str, Iterable[Money]], as_of: date, lookback_days: int | None
) -> dict[str, tuple[int, int, Decimal, int, int, int, str]]:
    """Recency, frequency, monetary value, their scores and the segment, by user with a key event."""
    measured = {}
    for user, own in money.items():
        seen = [
            one for one in own if one.day <= as_of and (lookback_days is None or (as_of - one.day).days < lookback_days)
        ]
        if purchases := [one.day for one in seen if one.key_events]:
            measured[user] = (
                (as_of - max(purchases)).days,
                sum(one.key_events for one in seen),
                sum((one.revenue for one in seen), Decimal(0)),
            )
    if not measured:
        return {}
    recencies, frequencies, monetaries = zip(*measured.values(), strict=True)
    found = {}
    for user, (recency, frequency, monetary) in measured.items():
        r, f = 6 - fifth(recency, recencies), fifth(frequency, frequencies)
        m = fifth(float(monetary), [float(value) for value in monetaries])
        found[user] = (recency, frequency, monetary, r, f, m, segment(r, f))
    return found


def transitions(by_date: Mapping[date, Mapping[str, str]]) -> Counter[tuple[date, str, str]]:
    """Users by date, segment as of the date before, and segment then."""
    moves: Counter[tuple[date, str, str]] = Counter()
    before: Mapping[str, str] = {}
    for as_of in sorted(by_date):
        for user in {*before, *by_date[as_of]}:
            moves[as_of, before.get(user, "none"), by_date[as_of].get(user, "none")] += 1
        before = by_date[as_of]
    return moves
