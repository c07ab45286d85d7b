"""De-duplication, identity, sessions, days, retention and RFM in plain Python: shares nothing with the models."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as dumped; times are UTC, without zone."""

    source: str = "web"
    event_id: str
    event_ts: datetime
    event_name: str = "view"
    user_id: str | None = None
    anonymous_id: str | None = None
    page: str | None = None
    revenue: Decimal | None = None
    user_key: str = ""

    @property
    def place(self) -> tuple[datetime, str, str]:
        """Where the event stands in the total order."""
        return (self.event_ts, self.event_id, self.source)


@dataclass
class Session:
    """A run of one user's events."""

    user_key: str
    events: list[Event] = field(default_factory=list)

    @property
    def pages(self) -> list[str]:
        """Pages seen, in order."""
        return [event.page for event in self.events if event.page is not None]

    @property
    def revenue(self) -> Decimal:
        """Money in the session."""
        return sum((event.revenue or Decimal(0) for event in self.events), Decimal(0))


def deduplicate(events: Iterable[Event]) -> list[Event]:
    """Keep one event per source and id, the earliest. (Copies of equal time must be equal here.)"""
    kept: dict[tuple[str, str], Event] = {}
    for event in events:
        key = (event.source, event.event_id)
        if key not in kept or event.event_ts < kept[key].event_ts:
            kept[key] = event
    return list(kept.values())


def identify(events: Iterable[Event]) -> list[Event]:
    """Name each event's user: own id, the device's next user, its previous one, the device itself."""
    ordered = sorted(events, key=lambda event: event.place)
    identified = []
    for index, event in enumerate(ordered):
        key = event.user_id
        if key is None:
            same = [(other, other.user_id) for other in ordered if other.anonymous_id == event.anonymous_id]
            after = [user for other, user in same if user and other.place > ordered[index].place]
            before = [user for other, user in same if user and other.place < ordered[index].place]
            key = after[0] if after else before[-1] if before else event.anonymous_id
        assert key is not None
        identified.append(replace(event, user_key=key))
    return identified


def sessionize(events: Iterable[Event], *, timeout: timedelta) -> list[Session]:
    """Cut each user's events where the gap is greater than the timeout."""
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_user[event.user_key].append(event)
    sessions = []
    for user, own in by_user.items():
        own.sort(key=lambda event: event.place)
        for previous, event in zip([None, *own], own, strict=False):
            if previous is None or event.event_ts - previous.event_ts > timeout:
                sessions.append(Session(user))
            sessions[-1].events.append(event)
    return sessions


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day a UTC moment falls on."""
    return moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).date()


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def week_of(day: date) -> date:
    """The Monday of a day's ISO week."""
    return day - timedelta(days=day.weekday())


def retained(days_of: dict[str, set[date]], grain: str) -> Counter[tuple[date, date]]:
    """Users by (period of their first day, period active in)."""
    period = {"day": lambda day: day, "week": week_of, "month": month_of}[grain]
    cells: Counter[tuple[date, date]] = Counter()
    for days in days_of.values():
        first = period(min(days))
        cells.update({(first, active) for active in {period(day) for day in days}})
    return cells


def fifth(value: float, values: Sequence[float]) -> int:
    """Which fifth of the values one lies in, counting those below it."""
    return 1 + 5 * sum(other < value for other in values) // len(values)
