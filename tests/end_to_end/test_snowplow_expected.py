"""Sessions, views and users of Snowplow's events against the tables that Snowplow's dbt packages expect of them.

Snowplow's rules, as `tests/oracles/snowplow.py` states them, give the expected tables, and ours give our marts, row for
row. From the ones to the others leads giving up one rule after the other; how many rows go and come with each is told
below:

- `late_after`: Snowplow drops what a device sent over three days after it happened; here it counts where it belongs.
- `cut_after`: Snowplow drops of a session what came over three days after its start; here it counts.
- `needs_view`: to Snowplow a web session without a view, such as consent alone, is none; here it is one.
- `apps`: Snowplow's shop counts the apps that it is told of; here all count, unless `where` says otherwise.
- `copies_by_collector`: of an event's copies Snowplow keeps the one received first; we, the one that happened first.
- `ping_lead`, `pings_view`: a page ping tells Snowplow that the page was looked at for five seconds before it, and is a
  view of the page; here it is an event like others, at its time, and only a view is a view.
- `views_by_id`, `orders_by_id`: Snowplow counts a view's or an order's id once, and a view without id not at all; here
  an event counts as one, by its own id.
- `user_is_device`: Snowplow's user is a device, and nobody where there is none; ours is whom the event or its device's
  next login names, then the device, then the network's id.
- `timeout`: Snowplow goes by the tracker's session; we start one after 30 minutes without an event of the user.
"""

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from tests.conftest import SHARED_DATA
from tests.end_to_end.conftest import Night, RunNight
from tests.oracles import snowplow
from tests.oracles.snowplow import OURS, Hit, Rules, Session, User, View

THREE_DAYS = timedelta(days=3)

Rows = Counter[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that Snowplow's packages expect.

    Attributes:
        file: Where it lies, below the data set.
        columns: Ours and Snowplow's, of all that both tell.
        alike: How many rows our mart has, too.
        alike_but_user: How many it has, too, but for the name of the user.
    """

    file: str
    columns: Mapping[str, str]
    alike: int
    alike_but_user: int

    def rows(self, told: list[Any]) -> Rows:
        return Counter(tuple(getattr(row, column) for column in self.columns) for row in told)

    def expected(self) -> Rows:
        with (SHARED_DATA / self.file).open(newline="", encoding="utf-8") as lines:
            return Counter(
                tuple(typed(ours, row[theirs]) for ours, theirs in self.columns.items())
                for row in csv.DictReader(lines)
            )


@dataclass(frozen=True, kw_only=True)
class Change:
    """How many rows a rule of Snowplow's has that ours has not, and the other way round."""

    sessions: tuple[int, int] = (0, 0)
    views: tuple[int, int] = (0, 0)
    users: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set of Snowplow's.

    Attributes:
        declared: What an analyst declares beside the preset, to have what Snowplow's package has.
        read_as: What that makes of a row.
        rules: Snowplow's, where they make a difference here.
        changes: What each of them makes, in the order of giving them up.
    """

    declared: str = ""
    read_as: Callable[[Hit], Hit] = lambda hit: hit
    rules: Rules
    changes: Mapping[str, Change]
    sessions: Table
    views: Table | None = None
    users: Table | None = None


DATA_SETS = {
    "web": DataSet(
        rules=Rules(
            late_after=THREE_DAYS,
            cut_after=THREE_DAYS,
            needs_view=True,
            ping_lead=timedelta(seconds=5),
            pings_view=True,
            views_by_id=True,
            user_is_device=True,
            timeout=None,
        ),
        changes={
            "late_after": Change(sessions=(0, 1), views=(0, 1), users=(0, 1)),
            "cut_after": Change(sessions=(2, 2), views=(3, 6), users=(2, 2)),
            "needs_view": Change(sessions=(0, 27), users=(0, 27)),
            "ping_lead": Change(sessions=(3, 3)),
            "pings_view": Change(sessions=(3, 3), users=(2, 2)),
            "views_by_id": Change(sessions=(2, 2), views=(7, 9), users=(2, 2)),
            "user_is_device": Change(sessions=(46, 46), views=(49, 49), users=(39, 16)),
            "timeout": Change(sessions=(34, 30), views=(23, 23), users=(8, 17)),
        },
        sessions=Table(
            file="snowplow_web/data/expected/default/snowplow_web_sessions_expected.csv",
            columns={
                "user": "domain_userid",
                "started_at": "start_tstamp",
                "ended_at": "end_tstamp",
                "events": "total_events",
                "page_views": "page_views",
                "entry_page": "first_page_urlpath",
                "exit_page": "last_page_urlpath",
                "platform": "platform",
                "country": "geo_country",
                "utm_source": "mkt_source",
                "utm_medium": "mkt_medium",
                "utm_campaign": "mkt_campaign",
            },
            alike=0,
            alike_but_user=6,
        ),
        views=Table(
            file="snowplow_web/data/expected/snowplow_web_page_views_expected.csv",
            columns={
                "event_id": "event_id",
                "user": "domain_userid",
                "seen_at": "derived_tstamp",
                "page": "page_urlpath",
                "number": "page_view_in_session_index",
                "of": "page_views_in_session",
            },
            alike=0,
            alike_but_user=17,
        ),
        users=Table(
            file="snowplow_web/data/expected/snowplow_web_users_expected.csv",
            columns={
                "user": "domain_userid",
                "first_seen_at": "start_tstamp",
                "last_seen_at": "end_tstamp",
                "sessions": "sessions",
                "page_views": "page_views",
            },
            alike=0,
            alike_but_user=2,
        ),
    ),
    # Users of the same names as on the web, and not the same people; by device, as Snowplow has them.
    "mobile": DataSet(
        declared='user_id: "null"',
        read_as=lambda hit: replace(hit, user_id=None),
        rules=Rules(
            late_after=THREE_DAYS,
            copies_by_collector=True,
            cut_after=THREE_DAYS,
            views_by_id=True,
            timeout=None,
        ),
        changes={
            "late_after": Change(sessions=(0, 1), views=(0, 1), users=(1, 1)),
            "copies_by_collector": Change(sessions=(2, 2), views=(40, 40)),
            "cut_after": Change(sessions=(1, 1), views=(2, 26), users=(1, 1)),
            "views_by_id": Change(sessions=(1, 1), views=(0, 2), users=(1, 1)),
            "timeout": Change(sessions=(5, 36), views=(74, 74), users=(3, 3)),
        },
        sessions=Table(
            file="snowplow_mobile/data/expected/snowplow_mobile_sessions_expected.csv",
            columns={
                "user": "device_user_id",
                "started_at": "start_tstamp",
                "ended_at": "end_tstamp",
                "page_views": "screen_views",
                "platform": "platform",
                "country": "geo_country",
            },
            alike=2,
            alike_but_user=2,
        ),
        views=Table(
            file="snowplow_mobile/data/expected/snowplow_mobile_screen_views_expected.csv",
            columns={
                "event_id": "event_id",
                "user": "device_user_id",
                "seen_at": "derived_tstamp",
                "number": "screen_view_in_session_index",
                "of": "screen_views_in_session",
            },
            alike=29,
            alike_but_user=29,
        ),
        users=Table(
            file="snowplow_mobile/data/expected/snowplow_mobile_users_expected.csv",
            columns={
                "user": "device_user_id",
                "first_seen_at": "start_tstamp",
                "last_seen_at": "end_tstamp",
                "sessions": "sessions",
                "page_views": "screen_views",
            },
            alike=1,
            alike_but_user=1,
        ),
    ),
    # The package reckons a shop's sessions by the collector's clock. It expects no views or users.
    "ecommerce": DataSet(
        declared="""\
event_ts: collector_tstamp
event_name: >-
  coalesce(
    unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1_0_0 ->> '$.type',
    event_name
  )
revenue: >-
  case
    when unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1_0_0 ->> '$.type'
      = 'transaction'
    then contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1_0_0 ->> '$[0].revenue'
  end
""",
        read_as=lambda hit: replace(hit, happened_at=hit.collected_at),
        rules=Rules(apps=("ecom-accel", "DemoID"), orders_by_id=True, user_is_device=True),
        changes={
            "apps": Change(sessions=(0, 1)),
            "orders_by_id": Change(sessions=(1, 1)),
            # The one without a device has the id of another on the network.
            "user_is_device": Change(sessions=(1, 1), users=(1, 1)),
        },
        sessions=Table(
            file="snowplow_ecommerce/data/expected/default/snowplow_ecommerce_sessions_expected.csv",
            columns={
                "user": "domain_userid",
                "started_at": "start_tstamp",
                "ended_at": "end_tstamp",
                "transactions": "total_number_transactions",
                "revenue": "total_transaction_revenue",
            },
            alike=62,
            alike_but_user=62,
        ),
    ),
}

pytestmark = pytest.mark.skipif(
    not all((SHARED_DATA / f"snowplow_{name}").is_dir() for name in DATA_SETS),
    reason="the public data sets of Snowplow are not beside this checkout",
)


def events_file(name: str) -> Path:
    return SHARED_DATA / f"snowplow_{name}" / "data" / "source" / f"snowplow_{name}_events.csv"


@pytest.fixture(scope="module")
def night(run_night: RunNight, tmp_path_factory: pytest.TempPathFactory) -> Night:
    root = tmp_path_factory.mktemp("snowplow")
    lines = ["key_events: [transaction]", "conversion: {event: transaction}", "sources:"]
    for name, data_set in DATA_SETS.items():
        lines += [f"  {name}:", f"    path: {events_file(name)}", "    preset: snowplow"]
        if data_set.declared:
            lines += ["    columns:", indent(data_set.declared, " " * 6)]
    (root / "avila.yml").write_text("\n".join(lines))
    done = run_night(root)
    assert done.code == 0, done.errors
    return done


def typed(column: str, text: str) -> Any:
    """What a CSV says, as the column of ours has it."""
    if column.endswith("_at"):
        return datetime.fromisoformat(text.removesuffix("+00:00"))
    if column == "revenue":
        return Decimal(text or 0)
    if column in {"user", "event_id"} or not text.isdigit():
        return text or (0 if column in {"page_views", "transactions"} else None)
    return int(text)


@dataclass(frozen=True)
class Told:
    """What is told of a data set's events."""

    sessions: list[Session]
    views: list[View]
    users: list[User]

    @classmethod
    def by(cls, rules: Rules, name: str) -> "Told":
        hits = [DATA_SETS[name].read_as(hit) for hit in snowplow.read(events_file(name))]
        runs = snowplow.sessionize(hits, rules)
        sessions = snowplow.sessions(runs, rules)
        return cls(sessions, snowplow.views(runs, rules), snowplow.users(sessions))

    @classmethod
    def by_marts(cls, night: Night, name: str) -> "Told":
        with night.marts() as marts:
            marts.execute(f"create temp view own as select * from events where source = '{name}'")
            sessions = marts.execute(
                """
                select
                    user_key, started_at, ended_at, events, page_views, key_events, revenue, entry_page, exit_page,
                    platform, country, utm_source, utm_medium, utm_campaign
                from sessions where session_id in (select session_id from own)
                """
            ).fetchall()
            views = marts.execute(
                """
                select event_id, user_key, event_ts, page,
                    row_number() over (partition by session_id order by event_ts, event_id),
                    count(*) over (partition by session_id)
                from own where event_name in ('page_view', 'screen_view')
                """
            ).fetchall()
            users = marts.execute(
                """
                select user_key, first_seen_at, last_seen_at, users.sessions,
                    (select sum(page_views) from sessions where sessions.user_key = users.user_key)
                from users where user_key in (select user_key from own)
                """
            ).fetchall()
        return cls(
            [Session(*row) for row in sessions],
            [View(*row) for row in views],
            [User(*row) for row in users],
        )


def tables(data_set: DataSet) -> dict[str, Table]:
    named = {"sessions": data_set.sessions, "views": data_set.views, "users": data_set.users}
    return {name: table for name, table in named.items() if table is not None}


@pytest.mark.parametrize("name", DATA_SETS)
def test_rules_of_snowplow_give_the_expected_tables(name: str) -> None:
    told = Told.by(DATA_SETS[name].rules, name)
    for table, expected in tables(DATA_SETS[name]).items():
        assert expected.rows(getattr(told, table)) == expected.expected(), table


@pytest.mark.parametrize("name", DATA_SETS)
def test_our_rules_give_the_marts(night: Night, name: str) -> None:
    by_rules, by_marts = Told.by(OURS, name), Told.by_marts(night, name)
    for table in ("sessions", "views", "users"):
        assert Counter(getattr(by_marts, table)) == Counter(getattr(by_rules, table)), table


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_difference_is_a_rule(name: str) -> None:
    data_set = DATA_SETS[name]
    rules, changes = data_set.rules, {}
    before = Told.by(rules, name)
    for rule in data_set.changes:
        rules = replace(rules, **{rule: getattr(OURS, rule)})
        after = Told.by(rules, name)
        changes[rule] = Change(**{table: changed(table, data_set, before, after) for table in vars(before)})
        before = after
    assert rules == OURS
    assert changes == data_set.changes


def changed(name: str, data_set: DataSet, before: Told, after: Told) -> tuple[int, int]:
    table = tables(data_set).get(name)
    old, new = (table.rows(getattr(told, name)) if table else Counter(getattr(told, name)) for told in (before, after))
    return (old - new).total(), (new - old).total()


@pytest.mark.parametrize("name", DATA_SETS)
def test_rows_that_no_rule_changes_are_equal(night: Night, name: str) -> None:
    marts = Told.by_marts(night, name)
    for table, expected in tables(DATA_SETS[name]).items():
        theirs, ours = expected.expected(), expected.rows(getattr(marts, table))
        assert (theirs & ours).total() == expected.alike, table
        user = list(expected.columns).index("user")
        theirs, ours = (Counter(row[:user] + row[user + 1 :] for row in rows.elements()) for rows in (theirs, ours))
        assert (theirs & ours).total() == expected.alike_but_user, table
