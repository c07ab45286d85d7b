"""Public data sets of every shape, declared as a newcomer would: figures from the READMEs beside the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.declarations import Declarations
from tests.conftest import SHARED_DATA
from tests.ingestion.conftest import House

pytestmark = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"the public data sets are not at {SHARED_DATA.parent.name}/{SHARED_DATA.name}"
)
LOGS = "fixtures_formats/matomo_log_analytics"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a data set."""

    source: dict[str, Any]
    rows: int
    filtered: int = 0
    rejected: int = 0
    people: int
    first: str
    last: str


DATA_SETS = {
    "epub": Known(  # headerless, semicolons, asctime; 15,732 sessions, 8 of them with two times
        source={
            "path": "epub/epub.time",
            "format": "csv",
            "timezone": "Europe/Vienna",
            "columns": {"anonymous_id": "column1", "event_ts": "column2", "event_name": "'download'"},
        },
        rows=15_740,
        people=15_732,
        first="2003-01-01 18:59:00",
        last="2008-12-31 17:33:04",
    ),
    "diginetica": Known(  # semicolons, NA for nobody, a date and milliseconds since its midnight
        source={
            "path": "diginetica/train-purchases.csv",
            "null_values": ["NA"],
            "columns": {
                "event_ts": "eventdate",
                "event_name": "'purchase'",
                "user_id": "userId",
                "anonymous_id": "sessionId",
                "item_id": "itemId",
            },
        },
        rows=18_025,
        people=12_630,
        first="2016-01-02 00:00:00",
        last="2016-06-17 00:00:00",
    ),
    "completejourney": Known(  # quoted, random order, local time of the US East
        source={
            "path": "completejourney/transactions_sample.csv",
            "timezone": "America/New_York",
            "columns": {
                "event_ts": "transaction_timestamp",
                "event_name": "'purchase'",
                "user_id": "household_id",
                "revenue": "sales_value",
            },
        },
        rows=75_000,
        people=2_377,
        first="2017-01-01 12:30:27",
        last="2018-01-01 03:47:38",
    ),
    "nasa_http_1995_days": Known(  # tabs; seven names over nine fields; epoch seconds
        source={
            "path": "nasa_http_1995_days/*.tsv",
            "columns": {"event_ts": "time", "event_name": "'request'", "anonymous_id": "host", "page": "url"},
        },
        rows=19_998,
        people=1_752,
        first="1995-07-01 04:00:01",
        last="1995-08-01 11:54:42",
    ),
    "olist leads": Known(  # month before day
        source={
            "path": "olist_funnel/mql.csv",
            "columns": {
                "event_ts": "strptime(first_contact_date, '%m/%d/%Y')",
                "event_name": "'lead'",
                "user_id": "mql_id",
                "utm_source": "origin",
            },
        },
        rows=8_000,
        people=8_000,
        first="2017-06-14 00:00:00",
        last="2018-05-31 00:00:00",
    ),
    "olist deals": Known(
        source={
            "path": "olist_funnel/closed_deals.csv",
            "columns": {"event_ts": "won_date", "event_name": "'won'", "user_id": "mql_id"},
        },
        rows=842,
        people=842,
        first="2017-12-05 02:00:00",
        last="2018-11-14 18:04:19",
    ),
    "stackexchange_french_meta": Known(  # 4,447 of 15,021 rows, such as votes, have no user
        source={
            "path": "stackexchange_french_meta/events.csv",
            "where": "user_id is not null",
            "columns": {"event_ts": "timestamp", "event_name": "event"},
        },
        rows=10_574,
        filtered=4_447,
        people=1_703,
        first="2011-08-17 18:34:28",
        last="2021-09-02 01:48:15.277000",
    ),
    "otto": Known(  # a session a line, its events in a list
        source={
            "path": "fixtures_formats/otto/train.jsonl",
            "unnest": "events",
            "columns": {"event_ts": "ts", "event_name": "type", "user_id": "session", "item_id": "aid"},
        },
        rows=862,
        people=20,
        first="2022-07-31 22:00:00.025000",
        last="2022-08-28 21:59:57.885000",
    ),
    "IIS": Known(
        source={"path": f"{LOGS}/iis.log", "preset": "w3c_log"},
        rows=1,
        people=1,
        first="2012-04-01 00:00:13",
        last="2012-04-01 00:00:13",
    ),
    "CloudFront": Known(
        source={"path": f"{LOGS}/amazon_cloudfront_web.log", "preset": "w3c_log"},
        rows=1,
        people=1,
        first="2014-05-23 01:13:11",
        last="2014-05-23 01:13:11",
    ),
    "nginx as JSON": Known(
        source={
            "path": f"{LOGS}/nginx_json.log",
            "format": "jsonl",
            "columns": {"event_ts": "date", "event_name": "'request'", "anonymous_id": "ip", "page": "path"},
        },
        rows=2,
        people=1,
        first="2013-10-10 14:52:00",
        last="2013-10-10 14:52:00",
    ),
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_public_data_set(house: House, name: str) -> None:
    known = DATA_SETS[name]
    declared = {**known.source, "path": str(SHARED_DATA / known.source["path"])}
    avila_yml = house.root / "avila.yml"
    avila_yml.write_text(yaml.safe_dump({"sources": {"data": declared}}), encoding="utf-8")
    report = house.load(Declarations.load(Path(avila_yml)).sources["data"])
    assert report.failures == ()
    assert (report.rows, report.rejected, report.filtered) == (known.rows, known.rejected, known.filtered)
    assert (report.first_event_ts, report.last_event_ts) == (known.first, known.last)
    events = house.events()
    assert len({event["anonymous_id"] or event["user_id"] for event in events}) == known.people
    assert all(event["properties"].startswith("{") for event in events)


def test_a_log_in_another_encoding(house: House) -> None:
    path = str(SHARED_DATA / LOGS / "common_encoding_big5.log")
    columns = {"event_ts": "timestamp '2020-01-01'", "event_name": "'x'", "user_id": "'u'", "page": "line"}
    report = house.load(name="raw", path=(path,), format="text", columns=columns)
    assert (report.rows, report.rejected) == (0, 1)
    report = house.load(name="big5", path=(path,), format="text", columns=columns, encoding="big5")
    assert (report.rows, report.rejected) == (1, 0)
    (event,) = [event for event in house.events() if event["source"] == "big5"]
    assert any("\u4e00" <= character <= "\u9fff" for character in event["page"])
