"""The gate around dumps bites: one fault is planted in one dump, and its expectation alone fails."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.audit import Audit
from orchestration import data_docs
from orchestration.dumps import check_dumps, dumps_of, inputs_of, measure
from orchestration.ingestion.catalog import Load
from orchestration.ingestion.lake import Lake
from orchestration.ingestion.sources import Source
from orchestration.settings import Settings
from orchestration.warehouse import connect

Row = dict[str, Any]
SHOP = Source.model_validate(
    {"name": "shop", "path": "*.jsonl", "placeholder_ids": ("", "null"), "columns": {"event_name": "event"}}
)
DUMPS, ROWS = 5, 1200
SPOILT = "dump3.jsonl"


def rows_of(number: int) -> list[Row]:
    """A day of a shop: forty users, some prices, times of receipt."""
    began = datetime(2025, 3, 1) + timedelta(days=number)
    return [
        {
            "event": ("view", "cart", "purchase")[row % 3],
            "event_ts": f"{began + timedelta(seconds=60 * row)}",
            "received_ts": f"{began + timedelta(seconds=60 * row + 2)}",
            "user_id": f"u{row % 40}",
            "revenue": 20 + row % 7 if row % 3 == 2 else None,
            "currency": "BRL",
        }
        for row in range(ROWS)
    ]


class Shop:
    """Dumps in a lake, and what the suite says of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(data_dir=root)
        for number in range(DUMPS):
            self.write(f"dump{number}.jsonl", rows_of(number))

    def write(self, name: str, rows: list[Row]) -> None:
        (self.root / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def live(self) -> list[Load]:
        with closing(Lake(self.settings.lake)) as lake:
            lake.load(SHOP, data_dir=self.root, memory_limit="1GB", threads=1)
            return [load for load in lake.loads("shop") if load.status == "live"]

    def audit(self) -> tuple[Audit, str]:
        live = self.live()
        with connect(self.settings) as connection:
            dumps = dumps_of("shop", live, measure(connection, self.settings.lake, live))
        return check_dumps(dumps), inputs_of(dumps)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def with_all(**values: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**row, **values} for row in rows]


def with_one(**values: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [*rows[:7], {**rows[7], **values}, *rows[8:]]


def cents(rows: list[Row]) -> list[Row]:
    return [{**row, "revenue": row["revenue"] and row["revenue"] * 100} for row in rows]


FAULTS: dict[str, tuple[Callable[[list[Row]], list[Row]], str, str]] = {
    "a clock at its epoch": (
        with_one(event_ts="1970-01-02 00:00:00"),
        "an event is from before 1990",
        "first_year 1970",
    ),
    "a clock that runs ahead": (
        with_one(event_ts=f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d %H:%M:%S}", received_ts=None),
        "an event is from more than a day after it was loaded",
        "set this machine's clock",
    ),
    "times that were swapped": (
        with_all(received_ts="2025-02-20 00:00:00"),
        "over 10% of the events are from more than a day after they were received",
        "Check which of the dump's times",
    ),
    "a dump of rejects among good ones": (
        lambda rows: [{**row, "event_ts": "soon"} for row in rows[:800]] + rows[800:],
        "over 50% of a dump's rows are rejected",
        "`ops.rejects` says why",
    ),
    "an id for a name": (
        lambda rows: [{**row, "event": f"e{number}"} for number, row in enumerate(rows)],
        "nearly every event has a name of its own",
        "Map event_name",
    ),
    "a user who is nobody": (
        lambda rows: [{**row, "user_id": "guest" if number % 3 else row["user_id"]} for number, row in enumerate(rows)],
        "over 50% of the identified events are of one user_id",
        "add it to `identity: {placeholder_ids: […]}`, beside the default ones",
    ),
    "a symbol for a currency": (
        with_all(currency="R$"),
        "over 5% of the currencies are no code of three letters",
        "Map currency to ISO 4217 codes",
    ),
    "cents for units": (cents, "the median revenue of an event is 30 times off", "takes cents for units"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_with_its_file_and_its_cure(shop: Shop, fault: str) -> None:
    plant, said, cure = FAULTS[fault]
    shop.write(SPOILT, plant(rows_of(3)))
    audit, _ = shop.audit()
    assert [one.fault for one in audit.expected if not one.holds] == [
        failure.partition(" in 1 of ")[0] for failure in audit.failures
    ]
    assert len(audit.failures) == 1
    (failure,) = audit.failures
    assert failure.startswith(said)
    assert f" in 1 of {DUMPS} dumps of shop, for example " in failure
    assert f"file {SPOILT}. " in failure
    assert cure in failure
    assert "gates: {dumps: warn}" in failure


def test_sound_dumps_pass_and_are_measured_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    audit, inputs = shop.audit()
    assert audit.passed, audit.failures
    assert (audit.rows, audit.checked) == (DUMPS, len(FAULTS))
    live = shop.live()
    for load in live:
        (shop.settings.lake / str(load.parquet_file)).unlink()
    with connect(shop.settings) as connection:
        again = dumps_of("shop", live, measure(connection, shop.settings.lake, live))
    assert inputs_of(again) == inputs


def test_prices_in_another_currency_are_no_fault(shop: Shop) -> None:
    shop.write(SPOILT, with_all(currency="JPY")(cents(rows_of(3))))
    assert shop.audit()[0].failures == ()


def test_a_fault_stays_found_until_it_is_mended(shop: Shop) -> None:
    shop.write(SPOILT, with_one(event_ts="1970-01-02 00:00:00")(rows_of(3)))
    shop.audit()
    shop.write("dump9.jsonl", rows_of(9))
    assert not shop.audit()[0].passed
    shop.write(SPOILT, rows_of(3))
    assert shop.audit()[0].passed


def test_a_file_that_is_no_dump_counts_until_it_is_emptied(shop: Shop) -> None:
    (shop.root / "notes.jsonl").write_text("What this directory is for.\n" * 30)
    (failure,) = shop.audit()[0].failures
    assert "file notes.jsonl. " in failure
    assert "A file that is no dump of this source counts until it is emptied" in failure
    (shop.root / "notes.jsonl").unlink()
    assert shop.audit()[0].failures == (failure,)
    shop.write("notes.jsonl", [])
    assert shop.audit()[0].passed


def test_a_clock_that_was_set_mends_what_it_had_taken_for_the_future(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=3)
    shop.write(SPOILT, with_one(event_ts=f"{moment}")(rows_of(3)))
    assert not shop.audit()[0].passed
    monkeypatch.setattr("orchestration.dumps.utc_now", lambda: moment - timedelta(hours=30))
    assert not shop.audit()[0].passed
    monkeypatch.setattr("orchestration.dumps.utc_now", lambda: moment - timedelta(hours=20))
    assert shop.audit()[0].passed


def test_small_dumps_and_none_are_not_judged_by_shares(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert shop.audit()[0].passed
    bad = {"event": "x", "event_ts": "2025-01-01", "received_ts": "2024-01-01", "user_id": "u", "currency": "R$"}
    shop.write("small.jsonl", [bad, {**bad, "event_ts": "soon"}, {**bad, "event_ts": "soon"}])
    assert shop.audit()[0].passed


def test_many_rows_are_looked_at_by_a_sample(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.dumps.ROWS_OF_A_DUMP", 300)
    live = shop.live()
    with connect(shop.settings) as connection:
        measures = measure(connection, shop.settings.lake, live)
    assert {found["rows"] for found in measures.values()} == {ROWS // 4}


def test_the_page_of_all_suites_opens_offline_and_shows_what_failed_first(shop: Shop, tmp_path: Path) -> None:
    sound, _ = shop.audit()
    shop.write(SPOILT, with_all(currency="<b>R$</b>")(rows_of(3)))
    spoilt, _ = shop.audit()
    folder = tmp_path / "docs"

    def keep(name: str, audit: Audit) -> None:
        suite = data_docs.Suite(name=name, asset="lake/shop", about="What it is about.", gate="dumps", unit="dumps")
        data_docs.keep(folder, suite, {**asdict(audit), "audited_at": "2025-03-04 02:00:00"})

    for name, audit in {"scores of churn": sound, "dumps of shop": sound, "dumps of <till>": spoilt}.items():
        keep(name, audit)
    page = (folder / data_docs.PAGE).read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "<link" in page
    assert page.count("<link") == page.count('<link rel="icon" href="data:,">')
    assert "default-src 'none'" in page
    assert page.count("<section") == 3
    assert "&lt;till&gt;" in page
    assert "<till>" not in page
    assert page.index("dumps of &lt;till&gt;: failed") < page.index("dumps of shop: all hold")
    assert "expect_column_values_to_be_between" in page
    assert SPOILT in page
    changed = (folder / data_docs.PAGE).stat().st_mtime_ns
    keep("scores of churn", sound)
    assert (folder / data_docs.PAGE).stat().st_mtime_ns == changed
    data_docs.drop(folder, group="lake", but={"lake/shop"})
    assert (folder / data_docs.PAGE).stat().st_mtime_ns == changed
    data_docs.drop(folder, group="lake", but=set())
    assert "<section" not in (folder / data_docs.PAGE).read_text(encoding="utf-8")
