"""Six public data sets, each with nothing but an avila.yml; figures from the READMEs beside the data."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from tests.conftest import RETAIL, SHARED_DATA, mostly_slow
from tests.end_to_end.conftest import Night, RunNight


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a data set is known to hold."""

    rows: int
    rejected: int = 0
    filtered: int = 0
    events: int
    users: int
    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A public data set: how an analyst would declare it, and what is known of it."""

    declaration: str
    expected: Expected


DATA_SETS = {
    # Of 17,435 lines the last is cut in the middle of its user id, so one of the 4,505 users is none; 5 are copies.
    "rees46_multicategory": DataSet(
        declaration="""
            sources:
              rees46:
                path: "{data}/rees46_multicategory/*.csv"
                columns:
                  event_ts: event_time
                  event_name: event_type
                  user_id: user_id
                  source_session_id: user_session
                  item_id: product_id
                  revenue: "case when event_type = 'purchase' then price end"
            funnels:
              shopping: {window_hours: 24, steps: [view, cart, purchase]}
        """,
        expected=Expected(
            rows=17_434,
            rejected=1,
            events=17_429,
            users=4_504,
            first="2019-10-01 00:00:00",
            last="2019-10-01 02:50:00",
        ),
    ),
    # 541,909 rows, of which 135,080 without a customer; 5,225 copies among the rest.
    "uk_online_retail": DataSet(
        declaration=RETAIL.replace("{path}", "{data}/uk_online_retail/by-day/*.csv") + "churn: {horizon_days: 60}",
        expected=Expected(
            rows=406_829,
            filtered=135_080,
            events=401_604,
            users=4_372,
            first="2010-12-01 08:26:00",
            last="2011-12-09 12:50:00",
        ),
    ),
    "gharchive_2015": DataSet(
        declaration="""
            sources:
              github:
                path: "{data}/gharchive_2015/*.json.gz"
                columns:
                  event_id: id
                  event_ts: created_at
                  event_name: type
                  user_id: actor.login
                  item_id: "repo->>'name'"
            key_events: [PushEvent]
            funnels:
              star to push: {window_hours: 1, steps: [WatchEvent, PushEvent]}
        """,
        expected=Expected(
            rows=15_129,
            events=15_129,
            users=6_208,
            first="2015-01-01 00:00:00",
            last="2015-01-01 01:59:59",
        ),
    ),
    "wikiticker_2015": DataSet(
        declaration="""
            sources:
              wikipedia:
                path: "{data}/wikiticker_2015/*.json.gz"
                columns:
                  event_ts: time
                  event_name: "case when isNew then 'new page' else 'edit' end"
                  user_id: user
                  country: countryIsoCode
            key_events: [new page]
        """,
        expected=Expected(
            rows=39_244,
            events=39_244,
            users=10_531,
            first="2015-09-08 00:47:08.770",
            last="2015-09-20 00:47:33.004",
        ),
    ),
    # 21 of the 6,919 lines are exact copies of another.
    "cdnow": DataSet(
        declaration=r"""
            sources:
              cdnow:
                path: "{data}/cdnow/CDNOW_sample.txt"
                format: text
                pattern: '^ *(?P<master_id>\d+) +(?P<id>\d+) +(?P<date>\d{8}) +(?P<cds>\d+) +(?P<dollars>[\d.]+)'
                columns:
                  event_ts: "strptime(date, '%Y%m%d')"
                  event_name: "'purchase'"
                  user_id: master_id
                  quantity: cds
                  revenue: dollars
        """,
        expected=Expected(
            rows=6_919,
            events=6_898,
            users=2_357,
            first="1997-01-01 00:00:00",
            last="1998-06-30 00:00:00",
        ),
    ),
    # 3 of the 5,169 rows are exact copies.
    "retailrocket_sample": DataSet(
        declaration="""
            sources:
              rocket:
                path: "{data}/retailrocket_sample/*.parquet"
                columns:
                  event_ts: timestamp
                  event_name: "case event when 0 then 'view' when 1 then 'addtocart' else 'transaction' end"
                  user_id: visitorid
                  source_session_id: session_id
                  item_id: itemid
            key_events: [transaction]
            conversion: {event: transaction}
        """,
        expected=Expected(
            rows=5_169,
            events=5_166,
            users=1_092,
            first="2015-05-03 06:54:22.541",
            last="2015-09-18 02:35:01.562",
        ),
    ),
}


@pytest.fixture(scope="module", params=mostly_slow(DATA_SETS))
def case(
    request: pytest.FixtureRequest, run_night: RunNight, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Expected, Night]:
    name: str = request.param
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"the public data set {name} is not beside this checkout")
    data_set = DATA_SETS[name]
    root: Path = tmp_path_factory.mktemp(name)
    (root / "avila.yml").write_text(data_set.declaration.replace("{data}", str(SHARED_DATA)))
    night = run_night(root)
    assert night.code == 0, night.errors
    return data_set.expected, night


def test_every_row_is_accounted_for(case: tuple[Expected, Night]) -> None:
    expected, night = case
    with night.marts() as marts:
        counts = marts.execute(
            "select sum(rows), sum(filtered), sum(rejected) from ops.loads where status = 'live'"
        ).fetchall()
        assert counts == [(expected.rows, expected.filtered, expected.rejected)]
        assert marts.execute("select count(*) from ops.rejects").fetchall() == [(expected.rejected,)]


def test_events_users_and_span(case: tuple[Expected, Night]) -> None:
    expected, night = case
    with night.marts() as marts:
        assert marts.execute("select count(*), min(event_ts), max(event_ts) from events").fetchall() == [
            (expected.events, datetime.fromisoformat(expected.first), datetime.fromisoformat(expected.last))
        ]
        assert _count(marts, "users") == expected.users


def test_marts_are_sensible(case: tuple[Expected, Night]) -> None:
    expected, night = case
    with night.marts() as marts:
        for table in ("sessions", "user_days", "cohort_retention"):
            assert _count(marts, table) > 0
        assert marts.execute("select sum(events) from sessions").fetchall() == [(expected.events,)]
        assert marts.execute("select max(cohort_users) <= count(*) from cohort_retention, users").fetchall()
        for model in ("churn", "conversion"):
            scores = marts.execute(f"select min(probability), max(probability) from {model}_scores").fetchall()
            assert 0 <= scores[0][0] <= scores[0][1] <= 1
        assert (night.root / "published" / "parquet" / "sessions").is_dir()


def _count(marts: duckdb.DuckDBPyConnection, table: str) -> int:
    rows: int = marts.execute(f"select count(*) from {table}").fetchall()[0][0]
    return rows
