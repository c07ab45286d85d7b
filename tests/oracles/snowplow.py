"""Sessions, views and users of Snowplow's events table, by the rules of Snowplow's dbt packages or by ours.

Every rule in which they differ is a field of `Rules`, so that one may go from the ones to the others and see what each
changes. Nothing here is shared with the models.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.oracles.behaviour import Event, identify

VIEWS = ("page_view", "screen_view")
PINGS = ("page_ping",)
TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A row of the events table, as far as it matters here."""

    event_id: str
    name: str
    app_id: str | None
    collected_at: datetime
    happened_at: datetime
    created_at: datetime
    sent_at: datetime
    user_id: str | None
    device: str | None
    network_userid: str | None
    tracker_session: str | None
    view_id: str | None
    page: str | None
    platform: str | None
    country: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    order_id: str | None
    revenue: Decimal | None
    user_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Where Snowplow's packages and we may differ.

    Attributes:
        apps: The only apps that count; none for all.
        late_after: How long after it was made an event may be sent, and still count.
        cut_after: How long after its first event a session's events still count.
        needs_view: Whether a session without a view is none.
        copies_by_collector: Whether the copy received first stands for the event, not the one that happened first.
        ping_lead: How long before a ping a session that starts with it has started.
        views_by_id: Whether a view is an id, seen when its first event happened, not every event that is a view.
        pings_view: Whether a session's views are the ids that its views and its pings have.
        orders_by_id: Whether an order is an id, made when its first transaction happened, not every transaction.
        user_is_device: Whether a user is the tracker's device, not whom we identify.
        timeout: A gap longer than this starts a user's next session; none to go by the tracker's session.
    """

    apps: tuple[str, ...] | None = None
    late_after: timedelta | None = None
    cut_after: timedelta | None = None
    needs_view: bool = False
    copies_by_collector: bool = False
    ping_lead: timedelta = timedelta()
    views_by_id: bool = False
    pings_view: bool = False
    orders_by_id: bool = False
    user_is_device: bool = False
    timeout: timedelta | None = TIMEOUT


OURS = Rules()


class Session(NamedTuple):
    """A session; what a data set says nothing of is left out of a comparison."""

    user: str | None
    started_at: datetime
    ended_at: datetime
    events: int
    page_views: int
    transactions: int
    revenue: Decimal
    entry_page: str | None
    exit_page: str | None
    platform: str | None
    country: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None


class View(NamedTuple):
    """A page or screen that was seen, and which of its session's views it is."""

    event_id: str
    user: str | None
    seen_at: datetime
    page: str | None
    number: int
    of: int


class User(NamedTuple):
    """Someone's sessions in sum."""

    user: str
    first_seen_at: datetime
    last_seen_at: datetime
    sessions: int
    page_views: int


def read(path: Path) -> list[Hit]:
    """The rows of an events table as CSV."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [_hit(row) for row in csv.DictReader(lines)]


def _hit(row: dict[str, str]) -> Hit:
    contexts = {name: _context(text) for name, text in row.items() if name.startswith(("contexts_", "unstruct_"))}

    def of_context(part: str, key: str) -> Any:
        return next((value.get(key) for name, value in contexts.items() if part in name and value.get(key)), None)

    def moment(column: str) -> datetime:
        return datetime.fromisoformat(row[column].replace("+00:00", ""))

    def text(column: str) -> str | None:
        return row.get(column) or None

    name = of_context("ecommerce_action", "type") or row["event_name"]
    revenue = of_context("_transaction_1", "revenue")
    return Hit(
        event_id=row["event_id"],
        name=name,
        app_id=text("app_id"),
        collected_at=moment("collector_tstamp"),
        happened_at=moment("derived_tstamp"),
        created_at=moment("dvce_created_tstamp"),
        sent_at=moment("dvce_sent_tstamp"),
        user_id=text("user_id"),
        device=text("domain_userid")
        or of_context("client_session", "userId")
        or of_context("client_session", "user_id"),
        network_userid=text("network_userid"),
        tracker_session=text("domain_sessionid")
        or of_context("client_session", "sessionId")
        or of_context("client_session", "session_id"),
        view_id=of_context("web_page", "id") or of_context("mobile_screen_view", "id"),
        page=text("page_urlpath"),
        platform=text("platform"),
        country=text("geo_country"),
        utm_source=text("mkt_source"),
        utm_medium=text("mkt_medium"),
        utm_campaign=text("mkt_campaign"),
        order_id=of_context("_transaction_1", "transaction_id"),
        revenue=Decimal(str(revenue)) if revenue and name == "transaction" else None,
    )


def _context(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    while isinstance(value, list):
        value = value[0] if value else {}
    return dict(value)


def sessionize(hits: Iterable[Hit], rules: Rules) -> list[list[Hit]]:
    """The events of each session, in order."""
    counted = _identify(_deduplicate([hit for hit in hits if _counts(hit, rules)], rules), rules)
    runs = list(_runs(counted, rules))
    if rules.cut_after is not None:
        runs = [_cut(run, rules.cut_after) for run in runs]
    return [run for run in runs if not rules.needs_view or _views(run)]


def sessions(runs: Sequence[list[Hit]], rules: Rules) -> list[Session]:
    """What is told of each session."""
    return [
        _session(run, seen, ordered, rules)
        for run, seen, ordered in zip(runs, _seen(runs, rules), _ordered(runs, rules), strict=True)
    ]


def views(runs: Sequence[list[Hit]], rules: Rules) -> list[View]:
    """The views of each session."""
    return [
        View(hit.event_id, _user(run[0], rules), hit.happened_at, hit.page, number, len(seen))
        for run, seen in zip(runs, _seen(runs, rules), strict=True)
        for number, hit in enumerate(seen, start=1)
    ]


def users(told: Iterable[Session]) -> list[User]:
    """The sum of each user's sessions; those of nobody are left out."""
    own: dict[str, list[Session]] = defaultdict(list)
    for session in told:
        if session.user is not None:
            own[session.user].append(session)
    return [
        User(
            user,
            min(session.started_at for session in theirs),
            max(session.ended_at for session in theirs),
            len(theirs),
            sum(session.page_views for session in theirs),
        )
        for user, theirs in own.items()
    ]


def _counts(hit: Hit, rules: Rules) -> bool:
    in_time = rules.late_after is None or hit.sent_at <= hit.created_at + rules.late_after
    return in_time and (rules.apps is None or hit.app_id in rules.apps)


def _deduplicate(hits: list[Hit], rules: Rules) -> list[Hit]:
    def rank(hit: Hit) -> tuple[datetime, ...]:
        return (hit.collected_at, hit.happened_at) if rules.copies_by_collector else (hit.happened_at,)

    kept: dict[str, Hit] = {}
    for hit in hits:
        # Between copies that rank alike their content decides; there are none here.
        assert hit.event_id not in kept or rank(hit) != rank(kept[hit.event_id])
        if hit.event_id not in kept or rank(hit) < rank(kept[hit.event_id]):
            kept[hit.event_id] = hit
    return list(kept.values())


def _identify(hits: list[Hit], rules: Rules) -> list[Hit]:
    identified = identify(
        Event(
            event_id=hit.event_id,
            event_ts=hit.happened_at,
            user_id=hit.user_id,
            anonymous_id=hit.device or hit.network_userid,
        )
        for hit in hits
    )
    keys = {event.event_id: event.user_key for event in identified}
    return [replace(hit, user_key=keys[hit.event_id]) for hit in hits]


def _runs(hits: list[Hit], rules: Rules) -> Iterator[list[Hit]]:
    grouped: dict[str | None, list[Hit]] = defaultdict(list)
    for hit in sorted(hits, key=lambda hit: (hit.happened_at, hit.event_id)):
        grouped[hit.user_key if rules.timeout else hit.tracker_session].append(hit)
    if rules.timeout is None:
        grouped.pop(None, None)
    for own in grouped.values():
        run: list[Hit] = []
        for hit in own:
            if run and rules.timeout and hit.happened_at - run[-1].happened_at > rules.timeout:
                yield run
                run = []
            run.append(hit)
        yield run


def _cut(run: list[Hit], after: timedelta) -> list[Hit]:
    end = min(hit.collected_at for hit in run) + after
    return [hit for hit in run if hit.collected_at <= end]


def _views(run: list[Hit]) -> list[Hit]:
    return [hit for hit in run if hit.name in VIEWS + PINGS and hit.view_id]


def _seen(runs: Sequence[list[Hit]], rules: Rules) -> list[list[Hit]]:
    """The events that count as views, by session."""
    seen = [[hit for hit in run if hit.name in VIEWS] for run in runs]
    return _first_of_id(seen, "view_id") if rules.views_by_id else seen


def _ordered(runs: Sequence[list[Hit]], rules: Rules) -> list[list[Hit]]:
    """The events that count as orders, by session."""
    ordered = [[hit for hit in run if hit.name == "transaction"] for run in runs]
    return _first_of_id(ordered, "order_id") if rules.orders_by_id else ordered


def _first_of_id(runs: list[list[Hit]], column: str) -> list[list[Hit]]:
    first: dict[str | None, Hit] = {}
    for hit in sorted((hit for run in runs for hit in run), key=lambda hit: (hit.happened_at, hit.event_id)):
        first.setdefault(getattr(hit, column), hit)
    return [[hit for hit in run if getattr(hit, column) and first[getattr(hit, column)] == hit] for run in runs]


def _user(hit: Hit, rules: Rules) -> str | None:
    return hit.device if rules.user_is_device else hit.user_key


def _session(run: list[Hit], seen: list[Hit], ordered: list[Hit], rules: Rules) -> Session:
    def first(column: str, hits: Iterable[Hit]) -> Any:
        return next((value for hit in hits if (value := getattr(hit, column)) is not None), None)

    campaign = next((hit for hit in run if hit.utm_source or hit.utm_medium or hit.utm_campaign), run[0])
    return Session(
        user=_user(run[0], rules),
        started_at=min(hit.happened_at - (rules.ping_lead if hit.name in PINGS else timedelta()) for hit in run),
        ended_at=max(hit.happened_at for hit in run),
        events=len(run),
        page_views=len({hit.view_id for hit in _views(run)}) if rules.pings_view else len(seen),
        transactions=len(ordered),
        revenue=sum((hit.revenue or Decimal(0) for hit in ordered), Decimal(0)),
        entry_page=first("page", run),
        exit_page=first("page", reversed(run)),
        platform=first("platform", run),
        country=first("country", run),
        utm_source=campaign.utm_source,
        utm_medium=campaign.utm_medium,
        utm_campaign=campaign.utm_campaign,
    )
