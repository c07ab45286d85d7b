"""Paths to and from key events, and their credit in fractions, in plain Python: shares nothing with the models."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from tests.oracles.behaviour import Event, Session
from tests.oracles.journeys import step_of


@dataclass(frozen=True, kw_only=True)
class Visit(Event):
    """An event that says where its visitor came from."""

    utm_source: str | None = None
    referrer: str | None = None


def origin(session: Session) -> tuple[str, str | None]:
    """What a session came by: ("campaign", source), ("site", address), or ("nothing", None)."""
    visits = [event for event in session.events if isinstance(event, Visit)]
    campaigns = [visit.utm_source for visit in visits if visit.utm_source]
    if campaigns:
        return "campaign", campaigns[0]
    at_first = [visit for visit in visits if visit.event_ts == visits[0].event_ts]
    addresses = [visit.referrer for visit in at_first if visit.referrer]
    return ("site", addresses[0]) if addresses else ("nothing", None)


@dataclass(frozen=True)
class KeyEvent:
    """A key event with the session it lies in."""

    event: Event
    session: Session
    path_to: str
    path_from: str


def key_events(
    sessions: Iterable[Session], *, names: Collection[str], page_views: Sequence[str], length: int
) -> list[KeyEvent]:
    """Each key event with the steps about it: a step right after its like counts as one, but for key events."""
    found = []
    for session in sessions:
        kept: list[Event] = []
        before = None
        for event in session.events:
            step = step_of(event, page_views)
            if event.event_name in names or step != before:
                kept.append(event)
            before = step
        steps = ["(entry)", *(step_of(event, page_views) for event in kept), "(exit)"]
        for place, event in enumerate(kept, start=1):
            if event.event_name in names:
                path_to = " > ".join(steps[:place][-length:])
                path_from = " > ".join(steps[place + 1 :][:length])
                found.append(KeyEvent(event, session, path_to, path_from))
    return found


def paths(
    found: Iterable[KeyEvent], path: Callable[[KeyEvent], str]
) -> dict[tuple[str, str], tuple[int, int, Decimal]]:
    """(key events, users, revenue) by (name, path)."""
    cells: dict[tuple[str, str], list[KeyEvent]] = defaultdict(list)
    for one in found:
        cells[one.event.event_name, path(one)].append(one)
    return {
        cell: (
            len(own),
            len({one.event.user_key for one in own}),
            sum((one.event.revenue or Decimal(0) for one in own), Decimal(0)),
        )
        for cell, own in cells.items()
    }


def led_to(one: KeyEvent, sessions: Iterable[Session], lookback: timedelta) -> list[Session]:
    """The sessions that share in the credit, the earliest first."""
    end = one.session.events[0].event_ts
    own = [other for other in sessions if other.user_key == one.session.user_key]
    within = [other for other in own if end - lookback <= other.events[0].event_ts <= end]
    return sorted(within, key=lambda other: other.events[0].place)


def without_repeats(channels: Sequence[str]) -> str:
    """Channels in order, each run of one as one."""
    return " > ".join(now for before, now in zip([None, *channels], channels, strict=False) if now != before)


def dealt(channels: Sequence[str], model: str) -> dict[str, Fraction]:
    """What part of one key event each channel gets."""
    last = len(channels) - 1
    named = [place for place, channel in enumerate(channels) if channel != "Direct"]
    if model == "first":
        parts = {0: Fraction(1)}
    elif model == "last_non_direct":
        parts = {max(named, default=last): Fraction(1)}
    elif model == "linear" or last <= 1:
        parts = dict.fromkeys(range(last + 1), Fraction(1, last + 1))
    else:
        parts = dict.fromkeys(range(last + 1), Fraction(1, 5) / (last - 1)) | dict.fromkeys((0, last), Fraction(2, 5))
    given: dict[str, Fraction] = defaultdict(Fraction)
    for place, part in parts.items():
        given[channels[place]] += part
    return given


MODELS = ("first", "last_non_direct", "linear", "position_based")


def attribution(
    led: Iterable[tuple[KeyEvent, Sequence[str], date]],
) -> dict[tuple[str, str, str, date], tuple[Fraction, Fraction]]:
    """(key events, revenue) by (model, name, channel, day), of key events with the channels that led to them."""
    cells: dict[tuple[str, str, str, date], tuple[Fraction, Fraction]] = {}
    for one, channels, day in led:
        for model in MODELS:
            for channel, part in dealt(channels, model).items():
                cell = (model, one.event.event_name, channel, day)
                number, revenue = cells.get(cell, (Fraction(0), Fraction(0)))
                cells[cell] = (number + part, revenue + part * Fraction(one.event.revenue or 0))
    return cells
