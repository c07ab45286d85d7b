"""Presets over public data, row by row against readers of another make."""

import csv
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orchestration.ingestion.sources import preset
from tests.conftest import SHARED_DATA
from tests.ingestion.conftest import LoadPreset, Row, canonical, without

STATIC = {
    *("avif", "bmp", "css", "eot", "gif", "gz", "ico", "jpeg", "jpg", "js", "json", "map", "mp3", "mp4", "otf"),
    *("pdf", "png", "svg", "swf", "tgz", "ttf", "txt", "webm", "webp", "woff", "woff2", "xml", "zip"),
}

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="the public data sets are not beside the repository, in ../shared/data"
)


def moment(text: str) -> datetime:
    """A timestamp in UTC, without its zone."""
    parsed = datetime.fromisoformat(text.replace(" UTC", "+00:00").replace("Z", "+00:00"))
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def rows_of(path: Path, **options: Any) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, **options)


def assert_same(events: Iterable[Row], wanted: Iterable[Row], *hidden: str) -> None:
    for event, row in zip(events, wanted, strict=True):
        assert without(canonical(event), *hidden) == canonical(row)


@needs_shared_data
def test_rees46_as_csv_reads_it(load: LoadPreset) -> None:
    path = SHARED_DATA / "rees46_multicategory" / "2019-Oct_first17k.csv"
    *whole, cut = rows_of(path)
    assert not cut["user_session"]
    events = load("rees46", path, rejected=1)
    wanted = (
        {
            "event_name": row["event_type"],
            "event_ts": moment(row["event_time"]),
            "user_id": row["user_id"],
            "source_session_id": row["user_session"] or None,
            "item_id": row["product_id"],
            "revenue": row["price"] if row["event_type"] == "purchase" else None,
            "properties": {key: row[key] for key in ("category_id", "category_code", "brand") if row[key]}
            | {"price": float(row["price"])},
        }
        for row in whole
    )
    assert_same(events, wanted, "event_id")
    assert len(events) == 17_434
    # Five rows come twice, and only those have an id in common.
    assert len({event["event_id"] for event in events}) == len({tuple(row.values()) for row in whole})


@needs_shared_data
def test_retailrocket_as_arrow_reads_it(load: LoadPreset) -> None:
    path = SHARED_DATA / "retailrocket_sample" / "events_sample.parquet"
    names = {0: "view", 1: "addtocart", 2: "transaction"}
    wanted = (
        {
            "event_name": names[row["event"]],
            "event_ts": row["timestamp"],
            "anonymous_id": str(row["visitorid"]),
            "item_id": str(row["itemid"]),
        }
        for row in pq.read_table(path).to_pylist()
    )
    assert_same(load("retailrocket", path), wanted, "event_id", "properties")


@needs_shared_data
def test_yoochoose_as_csv_reads_it(load: LoadPreset) -> None:
    folder = SHARED_DATA / "yoochoose_100k"
    files = sorted(folder.glob("yoochoose*.txt"))
    wanted = (
        {
            "event_name": "click",
            "event_ts": datetime.fromtimestamp(float(row["Time"]), UTC).replace(tzinfo=None),
            "anonymous_id": row["SessionId"],
            "source_session_id": row["SessionId"],
            "item_id": row["ItemId"],
            "properties": {},
        }
        for file in files
        for row in rows_of(file, delimiter="\t")
    )
    assert_same(load("yoochoose", folder / "yoochoose*.txt"), wanted, "event_id")


@needs_shared_data
def test_gharchive_as_json_reads_it(load: LoadPreset) -> None:
    folder = SHARED_DATA / "gharchive_2015"
    events = load("gharchive", folder / "*.json.gz")
    texts = (gzip.decompress(file.read_bytes()).splitlines() for file in sorted(folder.glob("*.json.gz")))
    for event, line in zip(events, map(json.loads, itertools.chain.from_iterable(texts)), strict=True):
        assert without(canonical(event), "properties") == {
            "event_id": line["id"],
            "event_name": line["type"],
            "event_ts": moment(line["created_at"]),
            "user_id": line["actor"]["login"],
            "item_id": line["repo"]["name"],
        }
        assert event["properties"]["payload"] == line["payload"]
    assert len(events) == 15_129


@needs_shared_data
@pytest.mark.parametrize("product", ["web", "ecommerce", "mobile"])
def test_snowplow_with_a_header_as_csv_reads_it(product: str, load: LoadPreset) -> None:
    path = SHARED_DATA / f"snowplow_{product}" / "data" / "source" / f"snowplow_{product}_events.csv"
    rows = list(rows_of(path))

    def first(row: dict[str, str], *names: str) -> str | None:
        return next((row[name] for name in names if row.get(name)), None)

    def of_app(row: dict[str, str], what: str) -> str | None:
        (context,) = json.loads(row.get("contexts_com_snowplowanalytics_snowplow_client_session_1_0_1") or "[]") or [{}]
        return first(context, f"{what}_id", f"{what}Id")

    wanted = (
        {
            "event_id": row["event_id"],
            "event_name": first(row, "se_action", "event_name", "event")
            if row["event"] == "struct"
            else first(row, "event_name", "event"),
            "event_ts": moment(first(row, "true_tstamp", "derived_tstamp", "collector_tstamp") or ""),
            "received_ts": moment(row["collector_tstamp"]),
            "user_id": first(row, "user_id"),
            "anonymous_id": first(row, "domain_userid") or of_app(row, "user") or first(row, "network_userid"),
            "source_session_id": first(row, "domain_sessionid") or of_app(row, "session"),
            "page": first(row, "page_urlpath"),
            "referrer": first(row, "page_referrer"),
            "utm_source": first(row, "mkt_source"),
            "utm_medium": first(row, "mkt_medium"),
            "utm_campaign": first(row, "mkt_campaign"),
            "platform": first(row, "platform"),
            "device": first(row, "dvce_type"),
            "country": first(row, "geo_country"),
            "item_id": first(row, "ti_sku"),
            "quantity": first(row, "ti_quantity"),
            "revenue": first(row, "tr_total"),
            "currency": first(row, "tr_currency", "ti_currency"),
        }
        for row in rows
    )
    assert_same(load("snowplow", path), wanted, "properties")


@needs_shared_data
def test_the_columns_of_snowplow_are_in_the_order_of_its_table() -> None:
    path = SHARED_DATA / "snowplow_web" / "data" / "source" / "snowplow_web_events.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    columns = preset("snowplow")["csv"]["columns"]
    assert len(columns) == 131
    # Tables keep what is in these three in columns of their own, after all others.
    documents = {"contexts", "unstruct_event", "derived_contexts"}
    assert [column for column in columns if column not in documents] == header[:128]


@needs_shared_data
def test_ga4_loads_a_row_of_the_public_sample(load: LoadPreset) -> None:
    folder = SHARED_DATA / "fixtures_formats" / "ga4_bigquery_export"
    (event,) = load("ga4", folder / "one_event_google_merchandise_store.json")
    assert without(canonical(event), "event_id", "properties") == {
        "event_name": "page_view",
        "event_ts": datetime(2021, 1, 28, 1, 40, 22, 695757),
        "anonymous_id": "1146540.1921992520",
        "source_session_id": "3599645542",
        "page": "/payment.html",
        "referrer": "https://shop.googlemerchandisestore.com/payment.html?",
        "platform": "WEB",
        "device": "desktop",
        "country": "United States",
    }
    assert event["properties"]["page_location"] == "https://shop.googlemerchandisestore.com/payment.html"
    assert event["properties"]["traffic_source"]["name"] == "(direct)"


@needs_shared_data
def test_access_logs_as_split_by_quotes(load: LoadPreset) -> None:
    """The oracle cuts lines at their quotation marks, of which none of these lines has more than six."""
    path = SHARED_DATA / "apache_logs_semicomplete" / "apache_logs"
    events = load("combined_log", path, rejected=1)
    lines = [line.split('"') for line in path.read_text(encoding="utf-8").splitlines()]
    whole = [parts for parts in lines if len(parts) >= 7]
    assert len(lines) == 10_000
    assert len(whole) == 9_999

    def wanted(parts: list[str]) -> Row:
        head, request, numbers, referrer, _, *agent = parts
        user_agent = '"'.join(agent[:-1])
        host = head.split()[0]
        method, target, _ = request.split()
        status = numbers.split()[0]
        page = target.split("?")[0]
        is_view = (
            method == "GET" and (status[0] == "2" or status == "304") and page.lower().rpartition(".")[2] not in STATIC
        )
        return {
            "event_name": "page_view" if is_view else method.lower(),
            "event_ts": datetime.strptime(head[head.index("[") + 1 : head.index("]")], "%d/%b/%Y:%H:%M:%S %z"),
            "anonymous_id": hashlib.md5((host + ("" if user_agent == "-" else user_agent)).encode()).hexdigest(),
            "page": page,
            "referrer": None if referrer == "-" else referrer,
            "status": int(status),
        }

    for event, row in zip(events, map(wanted, whole), strict=True):
        found = {"status": event["properties"]["status"], **canonical(event)}
        assert {column: found.get(column) for column in row} == {
            **row,
            "event_ts": row["event_ts"].replace(tzinfo=None),
        }
    assert sum(event["properties"]["status"] == 200 for event in events) == 9_125


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("common", "utf-8"),
        ("common_complete", "utf-8"),
        ("common_vhost", "utf-8"),
        ("ncsa_extended", "utf-8"),
        ("common_encoding_big5", "big5"),
    ],
)
def test_a_log_in_each_dialect_is_read(name: str, encoding: str, load: LoadPreset) -> None:
    path = SHARED_DATA / "fixtures_formats" / "matomo_log_analytics" / f"{name}.log"
    (event,) = load("combined_log", path, encoding=encoding)
    assert event["properties"]["host"] == "1.2.3.4"
    assert event["user_id"] == "theuser"
    assert event["event_ts"] == datetime(2012, 2, 10, 21, 42, 7)
    assert event["page"].startswith("/")
