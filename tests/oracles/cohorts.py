"""Cohorts in plain Python, day by day and user by user: shares nothing with the models."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tests.oracles.behaviour import Event, Session, month_of, week_of

PERIOD: dict[str, Callable[[date], date]] = {"day": lambda day: day, "week": week_of, "month": month_of}


@dataclass(frozen=True, kw_only=True)
class Visit(Event):
    """An event that says where and on what its visitor was."""

    platform: str | None = None
    country: str | None = None
    utm_source: str | None = None


@dataclass
class Member:
    """A user with an anchor; `days` has the revenue of each active day from the anchor's on."""

    anchor: Visit
    anchor_day: date
    days: dict[date, Decimal] = field(default_factory=dict)


@dataclass
class Cell:
    """What a cohort did in a period or a bracket."""

    cohort_users: int = 0
    retained_users: int = 0
    on_or_after_users: int = 0
    revenue: Decimal = Decimal(0)


def members(events: Iterable[Visit], *, names: Sequence[str] | None, day_of: Callable[[Visit], date]) -> list[Member]:
    """Users whose first event of some names, or of any, anchors them."""
    by_user: dict[str, list[Visit]] = defaultdict(list)
    for event in events:
        by_user[event.user_key].append(event)
    found = []
    for own in by_user.values():
        anchoring = [event for event in own if names is None or event.event_name in names]
        if not anchoring:
            continue
        member = Member(
            min(anchoring, key=lambda event: event.place),
            min(day_of(event) for event in anchoring),
        )
        for event in own:
            if day_of(event) >= member.anchor_day:
                day = day_of(event)
                member.days[day] = member.days.get(day, Decimal(0)) + (event.revenue or 0)
        found.append(member)
    return found


def periods_between(earlier: date, later: date, grain: str) -> int:
    """How many calendar periods later; both are first days of one."""
    if grain == "month":
        return 12 * (later.year - earlier.year) + later.month - earlier.month
    return (later - earlier).days // {"day": 1, "week": 7}[grain]


def retention(group: Iterable[Member], grain: str, last_day: date) -> dict[tuple[date, int], Cell]:
    """Cells by cohort and period since, up to the end of the data."""
    period = PERIOD[grain]
    cells: dict[tuple[date, int], Cell] = defaultdict(Cell)
    for member in group:
        cohort = period(member.anchor_day)
        active = {periods_between(cohort, period(day), grain) for day in member.days}
        for number in range(periods_between(cohort, period(last_day), grain) + 1):
            cell = cells[cohort, number]
            cell.cohort_users += 1
            cell.retained_users += number in active
            cell.on_or_after_users += any(other >= number for other in active)
            cell.revenue += sum(
                (money for day, money in member.days.items() if periods_between(cohort, period(day), grain) == number),
                Decimal(0),
            )
    return dict(cells)


def brackets(
    group: Iterable[Member], grain: str, spans: Sequence[tuple[str, int, int]], last_day: date
) -> dict[tuple[date, str], Cell]:
    """Cells by cohort and bracket, of those that begin before the data end."""
    cells: dict[tuple[date, str], Cell] = defaultdict(Cell)
    for member in group:
        cohort = PERIOD[grain](member.anchor_day)
        for name, first, last in spans:
            if (last_day - cohort).days < first:
                continue
            cell = cells[cohort, name]
            ages = {(day - member.anchor_day).days: money for day, money in member.days.items()}
            cell.cohort_users += 1
            cell.retained_users += any(first <= age <= last for age in ages)
            cell.on_or_after_users += any(first <= age for age in ages)
            cell.revenue += sum((money for age, money in ages.items() if first <= age <= last), Decimal(0))
    return dict(cells)


def properties(member: Member, sessions: Iterable[Session]) -> dict[str, str | None]:
    """What is known of a user at the anchor, by property."""
    own = [session for session in sessions if session.user_key == member.anchor.user_key]
    own = sorted((s for s in own if s.events[0].place <= member.anchor.place), key=lambda s: s.events[0].place)
    (held,) = [session for session in own if member.anchor in session.events]
    campaigns = [event.utm_source for session in own for event in session.events if event.utm_source]
    platforms = [event.platform for event in held.events if event.platform]
    countries = [event.country for event in held.events if event.country]
    return {
        "source": member.anchor.source,
        "platform": platforms[0] if platforms else None,
        "country": countries[0] if countries else None,
        "first_utm_source": campaigns[0] if campaigns else None,
    }


def shown(values: Iterable[str | None], top: int) -> dict[str | None, str]:
    """What each value is called: itself, if it is among the most frequent; else (other), and (none) if unknown."""
    counts = Counter(value for value in values if value is not None)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    return {**{value: value if place < top else "(other)" for place, value in enumerate(ranked)}, None: "(none)"}
