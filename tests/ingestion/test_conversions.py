"""Values of any type become times, amounts, ids and texts: held against Python's own datetime, zoneinfo and Decimal."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingestion import conversions
from orchestration.ingestion.conversions import ConversionError
from orchestration.ingestion.loader import connect
from orchestration.sql import literal

Evaluate = Callable[[str], Any]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluate]:
    """Evaluates a SQL expression on a connection as loads use."""
    with connect(memory_limit="500MB", threads=1, spill=Path(tmp_path_factory.mktemp("spill"))) as connection:
        yield lambda sql: connection.execute(f"select {sql}").fetchall()[0][0]


def time_of(evaluate: Evaluate, text: str, timezone: str = "UTC") -> datetime | None:
    return evaluate(conversions.to_time(literal(text), "VARCHAR", timezone))


TIMES = {
    "2020-01-02T03:04:05Z": "2020-01-02 03:04:05",
    "2020-01-02T03:04:05.123456Z": "2020-01-02 03:04:05.123456",
    "2020-01-02T03:04:05.123456789Z": "2020-01-02 03:04:05.123456",
    "2020-01-02 03:04:05 UTC": "2020-01-02 03:04:05",
    "2020-01-02 03:04:05.5": "2020-01-02 03:04:05.5",
    "2020-01-02 03:04": "2020-01-02 03:04:00",
    "2020-01-02": "2020-01-02 00:00:00",
    "20200102": "2020-01-02 00:00:00",
    "20200102030405": "2020-01-02 03:04:05",
    "2020/01/02 03:04:05": "2020-01-02 03:04:05",
    "2020-01-02T03:04:05+02:00": "2020-01-02 01:04:05",
    "2020-01-02T03:04:05+0230": "2020-01-02 00:34:05",
    "2020-01-02 03:04:05-05": "2020-01-02 08:04:05",
    "2020-01-02 03:04:05 +0000": "2020-01-02 03:04:05",
    "2020-01-02 03:04:05.678 -0800": "2020-01-02 11:04:05.678",
    "2020-01-02T03:04Z": "2020-01-02 03:04:00",
    "2020-01-02T03:04+02:00": "2020-01-02 01:04:00",
    "2020-01-02 03:04-0500": "2020-01-02 08:04:00",
    "2020-01-02 03:04 -05": "2020-01-02 08:04:00",
    "2020-07-02 03:04:05 Europe/London": "2020-07-02 02:04:05",
    "02/Jan/2020:03:04:05 +0100": "2020-01-02 02:04:05",
    "Thu Jan  2 03:04:05 2020": "2020-01-02 03:04:05",
    "Thu, 02 Jan 2020 03:04:05 GMT": "2020-01-02 03:04:05",
    "20200102T030405Z": "2020-01-02 03:04:05",
    "  2020-01-02 03:04:05  ": "2020-01-02 03:04:05",
    "1577934245": "2020-01-02 03:04:05",
    "1577934245.25": "2020-01-02 03:04:05.25",
    "1577934245250": "2020-01-02 03:04:05.25",
    "1577934245250000": "2020-01-02 03:04:05.25",
    "1577934245250000000": "2020-01-02 03:04:05.25",
    " 1577934245 ": "2020-01-02 03:04:05",
    "315532800": "1980-01-01 00:00:00",
    "20240102.0": "2024-01-02 00:00:00",
}


# A year, a month, a day that is none, a spreadsheet's day, and epochs before 1980.
NO_EPOCHS = ["0", "-1", "2024", "202401", "20241301", "20230229", "45000", "315532799", "0.5", "2024.0"]


@pytest.mark.parametrize("text", TIMES)
def test_texts_of_times(evaluate: Evaluate, text: str) -> None:
    assert time_of(evaluate, text) == datetime.fromisoformat(TIMES[text])


@pytest.mark.parametrize(
    "text", ["", "  ", "yesterday", "01/02/2020", "2020-13-01", "12:30", "NaN", "1e400", "--1", *NO_EPOCHS]
)
def test_texts_that_are_no_time(evaluate: Evaluate, text: str) -> None:
    assert time_of(evaluate, text) is None


ZONES = ["UTC", "Europe/London", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Auckland"]
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31))


@settings(max_examples=200, deadline=None)
@given(moment=MOMENTS, timezone=st.sampled_from(ZONES))
def test_local_times_are_pythons(evaluate: Evaluate, moment: datetime, timezone: str) -> None:
    here = moment.replace(tzinfo=ZoneInfo(timezone))
    there = here.astimezone(UTC)
    if (
        there.astimezone(ZoneInfo(timezone)).replace(tzinfo=None) != moment
        or here.utcoffset() != here.replace(fold=1).utcoffset()
    ):
        return  # a time that the clocks skip, or show twice: see below
    expected = there.replace(tzinfo=None)
    for text in (moment.isoformat(), moment.isoformat(sep=" ")):
        assert time_of(evaluate, text, timezone) == expected
        assert evaluate(conversions.to_time(f"timestamp {literal(text)}", "TIMESTAMP", timezone)) == expected
    assert time_of(evaluate, here.isoformat(), "Asia/Tokyo") == expected


# By zone: a time that the clocks skip and one that they show twice, each with the later moment it may stand for.
WHERE_CLOCKS_CHANGE = {
    "America/New_York": {"2025-03-09 02:30:00": "2025-03-09 07:30:00", "2025-11-02 01:30:00": "2025-11-02 06:30:00"},
    "America/Sao_Paulo": {"2017-10-15 00:00:00": "2017-10-15 03:00:00", "2018-02-17 23:30:00": "2018-02-18 02:30:00"},
    "Australia/Lord_Howe": {"2025-10-05 02:15:00": "2025-10-04 15:45:00", "2025-04-06 01:45:00": "2025-04-05 15:15:00"},
}


@pytest.mark.parametrize("timezone", WHERE_CLOCKS_CHANGE)
def test_a_local_time_that_clocks_skip_or_show_twice_is_the_later_moment(evaluate: Evaluate, timezone: str) -> None:
    for text, moment in WHERE_CLOCKS_CHANGE[timezone].items():
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone))
        readings = [local.replace(fold=fold).astimezone(UTC).replace(tzinfo=None) for fold in (0, 1)]
        expected = datetime.fromisoformat(moment)
        assert max(readings) == expected
        assert time_of(evaluate, text, timezone) == expected
        assert evaluate(conversions.to_time(f"timestamp {literal(text)}", "TIMESTAMP", timezone)) == expected


@settings(max_examples=150, deadline=None)
@given(millis=st.integers(315_532_800_000, 4_102_444_800_000))  # epochs begin in 1980
def test_epochs_in_every_unit_are_the_same_moment(evaluate: Evaluate, millis: int) -> None:
    expected = datetime(1970, 1, 1) + timedelta(milliseconds=millis)
    for number in (millis, millis * 1000, millis * 1_000_000):
        assert evaluate(conversions.to_time(f"cast({number} as bigint)", "BIGINT", "UTC")) == expected
        assert time_of(evaluate, str(number)) == expected
    assert evaluate(conversions.to_time(f"cast({millis / 1000!r} as double)", "DOUBLE", "UTC")) == expected


EXTREMES = [
    "290308-01-01",
    "294247-01-10 04:00:54",
    "-290308-01-01",
    "290308-12-22 (BC)",
    "infinity",
    "epoch",
    "9" * 18,
]


@settings(max_examples=300, deadline=None)
@given(
    text=st.one_of(st.text(max_size=20), st.sampled_from(EXTREMES), st.integers(-(2**63), 2**63 - 1).map(str)),
    timezone=st.sampled_from(ZONES),
)
def test_no_text_breaks_a_conversion(evaluate: Evaluate, text: str, timezone: str) -> None:
    text = text.replace("\x00", "")
    time_of(evaluate, text, timezone)
    evaluate(conversions.to_amount(literal(text), "VARCHAR"))
    evaluate(conversions.to_json(literal(text), "VARCHAR"))
    evaluate(conversions.to_identity(literal(text), ("", "x")))


def test_only_texts_without_a_zone_are_local(evaluate: Evaluate) -> None:
    """Noon in New York in winter is 17:00 UTC."""
    noon = [
        "2020-01-02 12:00:00",
        "20200102120000",
        "Thu Jan  2 12:00:00 2020",
        "20200102T120000",
        " 2020-01-02 12:00 ",
    ]
    noon += ["02/Jan/2020:12:00:00"]
    assert {time_of(evaluate, text, "America/New_York") for text in noon} == {datetime(2020, 1, 2, 17)}
    zoned = [
        text
        for text in TIMES
        if "Z" in text or "+" in text or text.endswith(("UTC", "GMT", "-05", "-0500", "-0800", "London"))
    ]
    assert len(zoned) == 17
    for text in zoned:
        assert time_of(evaluate, text, "America/New_York") == datetime.fromisoformat(TIMES[text])


def test_dates_and_zoned_times(evaluate: Evaluate) -> None:
    assert evaluate(conversions.to_time("date '2020-07-01'", "DATE", "Europe/London")) == datetime(2020, 6, 30, 23)
    zoned = "timestamptz '2020-07-01 00:00:00+02'"
    assert evaluate(conversions.to_time(zoned, "TIMESTAMP WITH TIME ZONE", "Asia/Tokyo")) == datetime(2020, 6, 30, 22)
    assert evaluate(conversions.to_time(literal('"2020-01-01"') + "::json", "JSON", "UTC")) == datetime(2020, 1, 1)


WHOLE_KINDS = ("INTEGER", "BIGINT", "UINTEGER", "HUGEINT", "DOUBLE", "DECIMAL(18,1)")


@pytest.mark.parametrize("kind", WHOLE_KINDS)
def test_a_number_means_what_its_text_means(evaluate: Evaluate, kind: str) -> None:
    for number in (20240102, 19970101, 1577934245, 20241301, 2024, 0):
        of_number = evaluate(conversions.to_time(f"cast({number} as {kind})", kind, "America/New_York"))
        assert of_number == time_of(evaluate, str(number), "America/New_York"), number
    assert evaluate(conversions.to_time(f"cast(20240102 as {kind})", kind, "UTC")) == datetime(2024, 1, 2)
    assert evaluate(conversions.to_time("20240102030405", "BIGINT", "UTC")) == datetime(2024, 1, 2, 3, 4, 5)


def test_dates_that_are_dates_may_be_old(evaluate: Evaluate) -> None:
    assert time_of(evaluate, "1970-01-01") == datetime(1970, 1, 1)
    assert evaluate(conversions.to_time("date '1971-02-03'", "DATE", "UTC")) == datetime(1971, 2, 3)
    assert evaluate(conversions.to_time("to_timestamp(7)", "TIMESTAMP WITH TIME ZONE", "UTC")) == datetime(
        1970, 1, 1, 0, 0, 7
    )


def test_epochs_beyond_reason_are_no_time(evaluate: Evaluate) -> None:
    for number in ("'inf'", "'nan'", "1e300", "-1e300"):
        assert evaluate(conversions.to_time(f"cast({number} as double)", "DOUBLE", "UTC")) is None


@settings(max_examples=300, deadline=None)
@given(st.decimals(min_value=-(10**13), max_value=10**13, allow_nan=False, places=6))
def test_amounts_are_pythons_decimals(evaluate: Evaluate, value: Decimal) -> None:
    expected = value.quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)
    assert evaluate(conversions.to_amount(literal(f"{value:f}"), "VARCHAR")) == expected


@settings(max_examples=100, deadline=None)
@given(st.floats())
def test_floats_are_amounts_unless_they_are_no_number_or_too_large(evaluate: Evaluate, value: float) -> None:
    amount = evaluate(conversions.to_amount(f"cast('{value!r}' as double)", "DOUBLE"))
    if math.isfinite(value) and abs(value) < 9.9e13:
        # Half of the last digit, and what a float rounds, shifted by four digits; in decimals, as 0.0313 is no float.
        allowed = Decimal("0.00005") + Decimal(abs(value)) * Decimal(2) ** -53
        assert abs(amount - Decimal(value)) <= allowed
    elif not math.isfinite(value) or abs(value) > 1e14:
        assert amount is None


@pytest.mark.parametrize(
    "text", ["", "12,5", "1.234,56", "$5", "NaN", "Infinity", "1e400", "five", "99999999999999999"]
)
def test_texts_that_are_no_amount(evaluate: Evaluate, text: str) -> None:
    assert evaluate(conversions.to_amount(literal(text), "VARCHAR")) is None


@pytest.mark.parametrize("text", ["", "null", "NULL", "Undefined", "nan", "00000000-0000-0000-0000-000000000000"])
def test_placeholders_are_no_identity(evaluate: Evaluate, text: str) -> None:
    placeholders = ("", "null", "undefined", "none", "nan", "00000000-0000-0000-0000-000000000000")
    assert evaluate(conversions.to_identity(literal(text), placeholders)) is None
    assert evaluate(conversions.to_identity(literal("x" + text), placeholders)) == "x" + text
    assert evaluate(conversions.to_identity(literal(text), ())) == text


def test_types_that_cannot_be_converted_are_refused() -> None:
    with pytest.raises(ConversionError, match="expected a number, but it is a boolean"):
        conversions.to_amount("true", "BOOLEAN")
    with pytest.raises(ConversionError, match="expected a timestamp, a text or an epoch number"):
        conversions.to_time("true", "BOOLEAN", "UTC")


def test_texts_of_other_types(evaluate: Evaluate) -> None:
    assert evaluate(conversions.to_text("42", "INTEGER")) == "42"
    assert evaluate(conversions.to_text("date '2020-01-01'", "DATE")) == str(date(2020, 1, 1))
    assert evaluate(conversions.to_text("'\"a\"'::json", "JSON")) == "a"
    assert evaluate(conversions.to_text("''", "VARCHAR")) is None
    assert evaluate(conversions.to_json("'{\"a\": 1}'", "VARCHAR")) == '{"a": 1}'
    assert evaluate(conversions.to_json("'{oops'", "VARCHAR")) is None
    assert evaluate(conversions.to_json("{'a': [1, 2]}", "STRUCT(a INTEGER[])")) == '{"a":[1,2]}'


def test_the_connection_reads_no_network(evaluate: Evaluate) -> None:
    with pytest.raises(duckdb.Error):
        evaluate("count(*) from read_csv('https://example.invalid/a.csv')")
