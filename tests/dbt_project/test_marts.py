"""Marts of random histories against plain Python."""

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest

from tests.conftest import BuildWarehouse, funnel, mostly_slow
from tests.oracles.behaviour import (
    Event,
    Session,
    deduplicate,
    fifth,
    identify,
    local_date,
    retained,
    sessionize,
)

ZONES = ["UTC", "America/Sao_Paulo", "Asia/Kathmandu", "Europe/London"]
CUTOFFS = [datetime(2025, 3, 31), datetime(2025, 3, 24), datetime(2025, 4, 7)]
TIMEOUT = timedelta(minutes=30)


def random_history(seed: int, *, size: int = 1500) -> list[Event]:
    """Users, devices some of whom share, logins, ties, copies and gaps that lie about the timeout."""
    generator = random.Random(seed)
    events = []
    for number in range(size):
        user = f"user{generator.randrange(40)}"
        device = f"device{generator.randrange(60)}" if generator.random() < 0.8 else None
        # Late March 2025 has the change to summer time in London; the clock is coarse so that gaps of
        # exactly the timeout and simultaneous events are common.
        moment = datetime(2025, 3, 20) + timedelta(minutes=10 * generator.randrange(20 * 144))
        moment += generator.choice([timedelta(), timedelta(), timedelta(microseconds=1)])
        name = generator.choice(["view", "view", "page_view", "purchase"])
        events.append(
            Event(
                source=generator.choice(["web", "app"]),
                event_id=f"{number:05d}",
                event_ts=moment,
                event_name=name,
                user_id=user if device is None or generator.random() < 0.3 else None,
                anonymous_id=device,
                page=generator.choice([None, "/a", "/b", "/c"]),
                revenue=Decimal(generator.randrange(1, 100)) if name == "purchase" else None,
            )
        )
    copies = [generator.choice(events) for _ in range(size // 20)]
    later = [
        Event(**{**vars(event), "event_ts": event.event_ts + timedelta(seconds=generator.randrange(1, 9999))})
        for event in generator.sample(events, size // 20)
    ]
    everything = [*events, *copies, *later]
    generator.shuffle(everything)
    return everything


def frame(events: Iterable[Event]) -> pd.DataFrame:
    return pd.DataFrame([vars(event) for event in events]).drop(columns="user_key")


class Case:
    """One history, its expected answers and the marts built from it."""

    def __init__(self, build: BuildWarehouse, zone: str, seed: int) -> None:
        history = random_history(seed)
        self.zone = ZoneInfo(zone)
        self.events = identify(deduplicate(history))
        self.sessions = sessionize(self.events, timeout=TIMEOUT)
        self.marts: duckdb.DuckDBPyConnection = build(frame(history), {"reporting_timezone": zone})

    def day(self, moment: datetime) -> date:
        return local_date(moment, self.zone)

    def days(self) -> dict[str, set[date]]:
        days: dict[str, set[date]] = defaultdict(set)
        for event in self.events:
            days[event.user_key].add(self.day(event.event_ts))
        return days


@pytest.fixture(scope="module", params=mostly_slow(ZONES, "Asia/Kathmandu"))
def case(request: pytest.FixtureRequest, build_warehouse: BuildWarehouse) -> Case:
    return Case(build_warehouse, request.param, seed=ZONES.index(request.param))


def test_every_event_has_its_user(case: Case) -> None:
    rows = case.marts.execute("select source, event_id, event_ts, user_key from marts.events").fetchall()
    expected = [(event.source, event.event_id, event.event_ts, event.user_key) for event in case.events]
    assert sorted(rows) == sorted(expected)


def test_sessions(case: Case) -> None:
    rows = case.marts.execute(
        """
        select user_key, started_at, ended_at, duration_seconds, events, page_views, key_events, revenue,
            entry_page, exit_page, is_bounce, session_date
        from marts.sessions
        """
    ).fetchall()

    def expected(session: Session) -> tuple[object, ...]:
        first, last = session.events[0], session.events[-1]
        names = [event.event_name for event in session.events]
        return (
            session.user_key,
            first.event_ts,
            last.event_ts,
            (last.event_ts - first.event_ts).total_seconds(),
            len(session.events),
            names.count("page_view"),
            names.count("purchase"),
            session.revenue,
            session.pages[0] if session.pages else None,
            session.pages[-1] if session.pages else None,
            len(session.events) == 1,
            case.day(first.event_ts),
        )

    key = lambda row: (row[0], row[1])  # noqa: E731
    assert sorted(rows, key=key) == sorted(map(expected, case.sessions), key=key)


def test_events_carry_the_session_they_lie_in(case: Case) -> None:
    rows = case.marts.execute("select source, event_id, session_id from marts.events").fetchall()
    session_of = {(source, event_id): session for source, event_id, session in rows}
    groups = [{session_of[event.source, event.event_id] for event in session.events} for session in case.sessions]
    assert all(len(group) == 1 for group in groups)
    assert len(set().union(*groups)) == len(case.sessions)


def test_user_days(case: Case) -> None:
    expected: dict[tuple[str, date], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for session in case.sessions:
        seen = set()
        for event in session.events:
            cell = (session.user_key, case.day(event.event_ts))
            sessions, events, revenue = expected[cell]
            expected[cell] = [sessions + (cell not in seen), events + 1, revenue + (event.revenue or 0)]
            seen.add(cell)
    rows = case.marts.execute(
        "select user_key, activity_date, sessions, events, revenue from marts.user_days"
    ).fetchall()
    assert {(user, day): measures for user, day, *measures in rows} == expected


@pytest.mark.parametrize("grain", ["day", "week", "month"])
def test_retention(case: Case, grain: str) -> None:
    rows = case.marts.execute(
        """
        select cohort.cohort_period, period.period_start, cohort.retained_users
        from marts.cohort_retention as cohort
        join intermediate.int_calendar_periods as first
            on first.grain = cohort.grain and first.period_start = cohort.cohort_period
        join intermediate.int_calendar_periods as period
            on period.grain = cohort.grain and period.period_index = first.period_index + cohort.period_number
        where cohort.grain = ? and retained_users > 0
        """,
        [grain],
    ).fetchall()
    assert {(cohort, period): users for cohort, period, users in rows} == retained(case.days(), grain)


def test_rfm(case: Case) -> None:
    last = max(case.day(event.event_ts) for event in case.events)
    purchases: dict[str, list[Event]] = defaultdict(list)
    for event in case.events:
        if event.event_name == "purchase":
            purchases[event.user_key].append(event)
    quantities = {
        user: (
            (last - max(case.day(event.event_ts) for event in events)).days,
            len(events),
            sum(event.revenue or 0 for event in events),
        )
        for user, events in purchases.items()
    }
    recencies, frequencies, monetaries = zip(*quantities.values(), strict=True)
    expected = {
        user: (r, f, m, 6 - fifth(r, recencies), fifth(f, frequencies), fifth(m, monetaries))
        for user, (r, f, m) in quantities.items()
    }
    rows = case.marts.execute(
        """
        select user_key, recency_days, frequency, monetary, r_score, f_score, m_score from marts.rfm_scores
        where as_of_date = ?
        """,
        [last],
    ).fetchall()
    assert {user: tuple(scores) for user, *scores in rows} == expected


@pytest.mark.parametrize("page", ["~", "^~", ""])
def test_no_page_and_an_odd_one_are_told_apart_wherever_they_came_from(
    build_warehouse: BuildWarehouse, page: str
) -> None:
    """Of two copies within one instant, what they say decides which one stands, and only then their files."""
    copies = pd.DataFrame(
        [("web", "a", None), ("web", "b", page), ("app", "b", None), ("app", "a", page)],
        columns=["source", "dump_file", "page"],
    ).assign(event_id="e", event_name="view", event_ts=datetime(2025, 1, 6, 9), dump_row=range(4))
    marts = build_warehouse(copies, select="+int_events_deduplicated")
    (web, app) = marts.execute("select page from intermediate.int_events_deduplicated order by source").fetchall()
    assert web == app


def test_users(case: Case) -> None:
    rows = case.marts.execute("select user_key, first_seen_at, last_seen_at, events from marts.users").fetchall()
    times: dict[str, list[datetime]] = defaultdict(list)
    for event in case.events:
        times[event.user_key].append(event.event_ts)
    assert {user: tuple(rest) for user, *rest in rows} == {
        user: (min(own), max(own), len(own)) for user, own in times.items()
    }


def in_detail(events: Iterable[Event]) -> pd.DataFrame:
    """Events with what only features look at, drawn from their ids."""
    events = list(events)
    picks = [random.Random(event.event_id) for event in events]
    return frame(events).assign(
        item_id=[pick.choice([None, "shoe", "hat", "coat"]) for pick in picks],
        platform=[pick.choice([None, "web", "ios"]) for pick in picks],
        utm_medium=[pick.choice([None, None, "cpc", "email"]) for pick in picks],
        referrer=[pick.choice([None, "https://www.google.com/", "https://blog.example/"]) for pick in picks],
    )


@pytest.mark.parametrize("cutoff", mostly_slow(CUTOFFS, CUTOFFS[0]))
def test_features_never_see_their_future(build_warehouse: BuildWarehouse, cutoff: datetime) -> None:
    """Features as of a date equal those of a warehouse that ends at that date's midnight: what came after, late copies
    and logins among it, changes none."""
    history = random_history(99)
    variables = {"funnels": [funnel("shopping", ["view", "page_view", "purchase"], window=3600, order="ordered")]}
    known = [event for event in deduplicate(history) if event.event_ts < cutoff]
    whole = build_warehouse(in_detail(history), variables, select="+user_snapshots")
    until = build_warehouse(in_detail(known), variables, select="+user_snapshots")
    query = "select * from features.user_snapshots where as_of = ? order by user_key"
    expected = until.execute(query, [cutoff.date()]).fetchall()
    assert whole.execute(query, [cutoff.date()]).fetchall() == expected
    assert len(expected) > 30


def test_a_large_past_is_that_of_some_users_and_now_is_that_of_all(build_warehouse: BuildWarehouse) -> None:
    history, most = in_detail(random_history(99)), 40
    everyone, some = (
        build_warehouse(history, {"training": {"snapshots": snapshots}}, select="+user_snapshots").execute(
            "select snapshots.* replace (1 as one_user_in), is_now from features.user_snapshots as snapshots "
            "inner join intermediate.int_cutoffs using (as_of) order by as_of, user_key"
        ).df()
        for snapshots in (1_000_000, most)
    )  # fmt: skip
    assert (~everyone["is_now"]).sum() > 2 * most
    assert most / 4 < (~some["is_now"]).sum() < 1.5 * most
    looked_at = set(some.loc[~some["is_now"], "user_key"])
    expected = everyone[everyone["is_now"] | everyone["user_key"].isin(looked_at)]
    pd.testing.assert_frame_equal(some, expected.reset_index(drop=True))


def test_a_large_purchase_is_attributed_to_the_last_digit(build_warehouse: BuildWarehouse) -> None:
    revenue = Decimal("999999999999.9999")
    events = [
        {"user_id": "u", "event_name": name, "event_ts": datetime(2025, 1, day, 9), "revenue": spent}
        for day, name, spent in ((6, "view", None), (7, "view", None), (8, "purchase", revenue))
    ]
    marts = build_warehouse(pd.DataFrame(events), select="+attribution")
    found = marts.execute("select model, sum(revenue) from marts.attribution group by model").fetchall()
    assert dict(found) == dict.fromkeys(("first", "last_non_direct", "linear", "position_based"), revenue)
