"""What an expression means over text: ids keep their spelling, and a row means the same in any file."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.ingestion import inspection, shapes
from orchestration.ingestion.expressions import Expression
from orchestration.ingestion.mappings import Mapping, MappingError
from tests.ingestion.conftest import COLUMNS, Bench, House, source

CSV = (
    "ts,ev,u,Quantity,UnitPrice,CustomerID,InvoiceDate,date,code\n"
    "2020-01-02,buy,007,3,2.50,17850.0,2020-01-02 03:04:05,20200102,A1\n"
    "2020-01-02,buy,1234567890123456789012345,-1,10,,2020-01-02 03:04:05,20200102,007\n"
)
EXPRESSIONS: dict[str, tuple[str, str, Any]] = {
    "a bare name is the text": ("user_id", "u", ["007", "1234567890123456789012345"]),
    "so it is in functions of text": ("user_id", "upper(u)", ["007", "1234567890123456789012345"]),
    "and beside text": ("user_id", "u || '-' || Quantity", ["007-3", "1234567890123456789012345--1"]),
    "arithmetic": ("revenue", "Quantity * UnitPrice", [Decimal("7.5"), Decimal(-10)]),
    "a comparison with a number": (
        "item_id",
        "case when UnitPrice > 9 then 'dear' else 'cheap' end",
        ["cheap", "dear"],
    ),
    "a comparison with text": ("item_id", "case when code = '007' then 'bond' end", [None, "bond"]),
    "a number in a branch": ("revenue", "case when ev = 'buy' then UnitPrice end", [Decimal("2.5"), Decimal(10)]),
    "strptime of text": ("event_ts", "strptime(InvoiceDate, '%Y-%m-%d %H:%M:%S')", ["2020-01-02 03:04:05"] * 2),
    "strptime of digits": ("event_ts", "strptime(date, '%Y%m%d')", ["2020-01-02 00:00:00"] * 2),
    "strptime of digits cast": ("event_ts", "strptime(cast(date as varchar), '%Y%m%d')", ["2020-01-02 00:00:00"] * 2),
    "a float id": ("item_id", "cast(cast(CustomerID as double) as bigint)", ["17850", None]),
    "a function of dates": ("item_id", "year(InvoiceDate)", ["2020", "2020"]),
    "numbers in functions": ("revenue", "round(UnitPrice, 1)", [Decimal("2.5"), Decimal(10)]),
    "an integer division": ("quantity", "date // 10000", [Decimal(2020)] * 2),
    "a constant": ("item_id", "'x'", ["x", "x"]),
    "names in any case": ("item_id", "lower(CODE)", ["a1", "007"]),
}


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_expressions_over_text(bench: Bench, case: str) -> None:
    column, expression, expected = EXPRESSIONS[case]
    outcome = bench.load("a.csv", CSV, columns={**COLUMNS, column: expression})
    assert not outcome.rejects
    got = [event[column] for event in outcome.events]
    assert [str(value) if column == "event_ts" else value for value in got] == expected


RECORD = {
    "ts": "2020-01-01",
    "ev": "push",
    "u": 7,
    "actor": {"login": "ada", "id": 12, "deep": {"er": [1, {"x": "y"}]}},
    "payload": {"ref": "main", "size": 4},
    "price": 2.5,
    "big": 1234567890123456789012345,
    "flag": True,
    "$odd.key": "o",
}
JSON_EXPRESSIONS: dict[str, tuple[str, str, Any]] = {
    "a path": ("item_id", "actor.login", "ada"),
    "an arrow": ("item_id", "actor->>'login'", "ada"),
    "an arrow to JSON": ("item_id", "actor -> 'deep'", '{"er":[1,{"x":"y"}]}'),
    "arrows in a row": ("item_id", "actor -> 'deep' -> 'er' -> 1 ->> 'x'", "y"),
    "an arrow after a path": ("item_id", "actor.deep -> 'er' ->> 0", "1"),
    "an arrow in a function": ("item_id", "upper(actor -> 'login' ->> '$')", "ADA"),
    "an arrow compared with text": ("item_id", "case when actor ->> 'login' = 'ada' then 'yes' end", "yes"),
    "an arrow where a list is wanted": (
        "item_id",
        "list_filter(cast(actor -> 'deep' -> 'er' as json[]), lambda e: (e -> 'x') is not null)[1] ->> 'x'",
        "y",
    ),
    "arrows as lambdas": ("item_id", "list_transform([actor], a -> (a ->> 'login'))[1]", "ada"),
    "a method": ("item_id", "actor.login.upper()", "ADA"),
    "a function": ("item_id", "json_extract_string(payload, '$.ref')", "main"),
    "a path in a function": ("item_id", "upper(actor.login)", "ADA"),
    "a path compared with text": ("item_id", "case when actor.login = 'ada' then 'yes' end", "yes"),
    "a path compared with a number": ("item_id", "case when payload.size > 3 then 'big' end", "big"),
    "a path in arithmetic": ("quantity", "payload.size * 2 + actor.id", Decimal(20)),
    "a deep path": ("item_id", "actor.deep.er", '[1,{"x":"y"}]'),
    "an object": ("item_id", "payload", '{"ref":"main","size":4}'),
    "a number": ("revenue", "price", Decimal("2.5")),
    "a long number": ("item_id", "big", "1234567890123456789012345"),
    "a truth value": ("item_id", "flag", "true"),
    "an odd key": ("item_id", '"$odd.key"', "o"),
    "a key that is not there": ("item_id", "coalesce(nothing, actor.nothing, 'none')", "none"),
}


@pytest.mark.parametrize("case", JSON_EXPRESSIONS)
def test_expressions_over_json(bench: Bench, case: str) -> None:
    column, expression, expected = JSON_EXPRESSIONS[case]
    outcome = bench.load("a.jsonl", json.dumps(RECORD), columns={**COLUMNS, column: expression})
    assert [event[column] for event in outcome.events] == [expected]
    assert outcome.events[0]["user_id"] == "7"


def test_parquet_keeps_its_types(bench: Bench) -> None:
    table = pa.table(
        {
            "ts": pa.array([1577934245250], pa.int64()),
            "ev": pa.array([2], pa.int8()),
            "u": ["007"],
            "who": pa.array([{"login": "ada", "tags": ["x"]}]),
            "price": pa.array([Decimal("2.50")]),
            "day": pa.array([18262], pa.date32()),
        }
    )
    path = bench.root / "typed.parquet"
    pq.write_table(table, path)
    columns = {**COLUMNS, "event_name": "case ev when 2 then 'buy' end", "item_id": "who.login", "revenue": "price * 2"}
    outcome = bench.load("a.parquet", path.read_bytes(), columns=columns)
    (event,) = outcome.events
    assert str(event["event_ts"]) == "2020-01-02 03:04:05.250000"
    assert (event["event_name"], event["user_id"], event["item_id"]) == ("buy", "007", "ada")
    assert event["revenue"] == Decimal(5)
    assert json.loads(event["properties"]) == {
        "day": "2020-01-01",
        "ev": 2,
        "price": 2.5,
        "who": {"login": "ada", "tags": ["x"]},
    }


def test_a_whole_number_that_is_none_after_all_is_read_as_it_is(bench: Bench) -> None:
    """The sample shows whole numbers only; a later row has a fraction, another no number at all."""
    rows = ["2020-01-01,v,u,1"] * shapes.SAMPLE_RECORDS + ["2020-01-01,v,u,2.5", "2020-01-01,v,u,x"]
    body = "ts,ev,u,n\n" + "\n".join(rows)
    outcome = bench.load("a.csv", body, columns={**COLUMNS, "revenue": "n * 2"})
    assert outcome.events[-1]["revenue"] == Decimal(5)
    assert outcome.reasons == ["n is 'x', not a number"]


def test_a_whole_number_within_an_object_that_is_none_after_all_is_read_as_it_is(bench: Bench) -> None:
    row = {"ts": "2020-01-01", "ev": "v", "u": "u"}
    rows = [{**row, "o": {"n": n}} for n in [1] * shapes.SAMPLE_RECORDS + [2.5, "x"]]
    body = "\n".join(map(json.dumps, rows))
    outcome = bench.load("a.jsonl", body, columns={**COLUMNS, "revenue": "o.n * 2"})
    assert outcome.events[-1]["revenue"] == Decimal(5)
    assert outcome.reasons == ["o.n is 'x', not a number"]


TIMES = {
    "a time": ("2020-01-01 05:30:00", datetime(2020, 1, 1, 11, 30)),
    "a time with a zone": ("2020-01-01T05:30:00Z", datetime(2020, 1, 1, 8, 30)),
    "a time with an offset": ("2020-01-01 05:30:00.5+02:00", datetime(2020, 1, 1, 6, 30, 0, 500000)),
    "a date": ("2020-01-01", datetime(2020, 1, 1, 6)),
}


@pytest.mark.parametrize("case", TIMES)
def test_a_time_that_is_computed_with_keeps_its_time_of_day_and_its_zone(bench: Bench, case: str) -> None:
    written, expected = TIMES[case]
    columns = {**COLUMNS, "event_ts": "ts + interval 3 hours"}
    rows = [written] * (shapes.SAMPLE_RECORDS + 1) + [other for other, _ in TIMES.values() if other != written]
    body = "ts,ev,u\n" + "".join(f"{row},v,u\n" for row in rows)
    outcome = bench.load("a.csv", body, columns=columns, timezone="America/Sao_Paulo")
    assert {event["event_ts"] for event in outcome.events[: shapes.SAMPLE_RECORDS + 1]} == {expected}
    # What is not like the sample is what it is, or a reject, and never another time.
    right = {moment for _, moment in TIMES.values()}
    assert {event["event_ts"] for event in outcome.events} <= right
    assert outcome.accounted == len(rows)


def test_a_column_without_values_counts_as_a_number_where_one_is_wanted(bench: Bench) -> None:
    outcome = bench.load(
        "a.csv", "ts,ev,u,n,m\n2020-01-01,v,u,,2\n", columns={**COLUMNS, "revenue": "m - coalesce(n, 0)"}
    )
    assert [event["revenue"] for event in outcome.events] == [Decimal(2)]


COMPARED = [
    *(("ana", other) for other in ("d1", 7, None)),
    *((7, other) for other in ("d1", 8, None)),
]


@pytest.mark.parametrize(("one", "other"), COMPARED)
@pytest.mark.parametrize("condition", ["{0} is distinct from {1}", "{0} not in ({1}, ev)", "{0} = {1} is not true"])
def test_columns_are_compared_whatever_the_sample_shows_of_them(
    bench: Bench, condition: str, one: str | int, other: str | int | None
) -> None:
    said = {"ts": "2020-01-01", "ev": "v", "u": "u", "a": one, "b": other, "o": {"a": one, "b": other}}
    for first, second in (("a", "b"), ("o.a", "o.b"), ("a", "o.b")):
        columns = {**COLUMNS, "item_id": f"case when {condition.format(first, second)} then {first} end"}
        outcome = bench.load("a.jsonl", json.dumps(said), columns=columns)
        assert outcome.reasons == []
        known = "not in" not in condition or other is not None
        assert [event["item_id"] for event in outcome.events] == [str(one) if known else None]


def test_texts_in_a_type_are_compared_as_such(bench: Bench) -> None:
    rows = [{"ts": "2020-01-01", "ev": "v", "u": {"id": "ana", "device": "d1"}}]
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), out)
    columns = {**COLUMNS, "user_id": "case when u.id is distinct from u.device then u.id end"}
    outcome = bench.load("a.parquet", bytes(out.getvalue()), columns=columns)
    assert [event["user_id"] for event in outcome.events] == ["ana"]


def test_a_row_on_which_an_expression_fails_is_rejected_and_says_which(bench: Bench) -> None:
    body = "ts,ev,u\n2020-01-01 00:00:00,v,u\nnever,v,u\n"
    outcome = bench.load("a.csv", body, columns={**COLUMNS, "event_ts": "strptime(ts, '%Y-%m-%d %H:%M:%S')"})
    assert outcome.loaded.rows == 1
    assert outcome.reasons == ["event_ts: the expression fails on this row: ts is 'never'"]


def test_decimal_commas_are_not_taken_for_the_delimiter(bench: Bench) -> None:
    outcome = bench.load(
        "a.csv",
        "ts;ev;u;price\n" + "2020-01-01;v;u;0,50\n" * 300,
        columns={**COLUMNS, "revenue": "replace(price, ',', '.')"},
    )
    assert (outcome.loaded.rows, outcome.events[0]["revenue"]) == (300, Decimal("0.5"))


def test_a_number_that_is_spelled_otherwise_is_rejected_with_the_cure(bench: Bench) -> None:
    outcome = bench.load("a.csv", "ts;ev;u;revenue\n2020-01-01;v;u;1.234,50\n")
    assert outcome.reasons == [
        "revenue is '1.234,50', not a number of at most 14 digits before and 4 after the point; "
        "give a replace expression for what is spelled otherwise"
    ]


def test_a_null_is_no_failure(bench: Bench) -> None:
    outcome = bench.load("a.csv", "ts,ev,u,x\n2020-01-01,v,u,\n", columns={**COLUMNS, "item_id": "upper(x)"})
    assert [event["item_id"] for event in outcome.events] == [None]


def test_where_filters_and_does_not_reject(bench: Bench) -> None:
    body = "ts,ev,u,n\n2020-01-01,v,u,1\n2020-01-01,v,u,5\nnonsense,v,u,1\n2020-01-01,v,u,\n2020-01-01,v,u,x\n"
    outcome = bench.load("a.csv", body, where="n > 3")
    assert (outcome.loaded.rows, outcome.loaded.filtered, outcome.loaded.rejected) == (1, 3, 1)
    assert outcome.reasons == ["n is 'x', not a number"]
    assert outcome.accounted == 5
    outcome = bench.load("a.csv", body, where="strptime(ts, '%Y-%m-%d') > timestamp '2000-01-01'")
    assert outcome.reasons == ["where: the condition fails on this row: ts is 'nonsense'"]


def test_a_failure_shows_what_was_read_in_part(bench: Bench) -> None:
    columns = {**COLUMNS, "item_id": "concat(a, b, c, d, strptime(e, '%Y'))"}
    outcome = bench.load("a.csv", f"ts,ev,u,a,b,c,d,e\n2020-01-01,v,u,,{'x' * 99},2,,never\n", columns=columns)
    (reason,) = outcome.reasons
    shown = f"a is null, b is '{'x' * 60}', c is '2', d is null, and 1 more"
    assert reason == f"item_id: the expression fails on this row: {shown}"


@pytest.mark.parametrize("expression", ["cast(ts as timestamp) at time zone tz", "timezone(trim(tz), ts::timestamp)"])
def test_a_row_whose_zone_there_is_not_is_rejected(bench: Bench, expression: str) -> None:
    zones = ["America/Sao_Paulo", "Mars/X", "asia/TOKYO", "", "UTC+3", "utc", "+03:00", "EST5EDT", "UTC-3:30"]
    body = "ts,ev,u,tz\n" + "".join(f"2020-01-01 00:00:00,v,u,{zone}\n" for zone in zones)
    outcome = bench.load("a.csv", body, columns={**COLUMNS, "event_ts": expression})
    assert [str(event["event_ts"])[5:16] for event in outcome.events] == [
        *("01-01 03:00", "12-31 15:00", "12-31 21:00", "01-01 00:00", "01-01 05:00")
    ]
    assert [reject["row_number"] for reject in outcome.rejects] == [2, 4, 7, 9]
    said = "event_ts: the expression fails on this row: ts is '2020-01-01 00:00:00', tz is"
    assert outcome.reasons == [f"{said} 'Mars/X'", "event_ts is missing", f"{said} '+03:00'", f"{said} 'UTC-3:30'"]


REJECTS = {
    "no event_ts": ('"",v,u', "event_ts is missing"),
    "no event_name": ("2020-01-01,,u", "event_name is missing"),
    "nobody": ("2020-01-01,v,", "no user_id and no anonymous_id"),
    "a placeholder": ("2020-01-01,v,NULL", "no user_id and no anonymous_id"),
    "before 1970": (
        "1969-12-31 23:59:59,v,u",
        "event_ts is '1969-12-31 23:59:59', not between 1970-01-01 and 2100-01-01",
    ),
    "from 2100": ("2100-01-01,v,u", "event_ts is '2100-01-01 00:00:00', not between 1970-01-01 and 2100-01-01"),
    "a year": (
        "2024,v,u",
        "event_ts is '2024', not an epoch of 1980 or later; give a strptime or to_timestamp expression",
    ),
    "no time": ("soon,v,u", "event_ts is 'soon', not a timestamp that can be read; give a strptime expression"),
}


@pytest.mark.parametrize("case", REJECTS)
def test_requirements_of_a_row(bench: Bench, case: str) -> None:
    row, reason = REJECTS[case]
    outcome = bench.load("a.csv", f"ts,ev,u\n2020-01-01,v,u\n{row}\n1970-01-01,v,u\n2099-12-31 23:59:59.999999,v,u\n")
    assert outcome.reasons == [reason]
    assert outcome.rejects[0]["row_number"] == 2
    assert outcome.loaded.rows == 3


def test_columns_of_the_canonical_name_need_no_declaration(bench: Bench) -> None:
    body = "event_ts,event_name,anonymous_id,Revenue,country,properties\n2020-01-01,v,a1,2.5,BR,p\n"
    (event,) = bench.load("a.csv", body, columns={}).events
    assert (event["anonymous_id"], event["revenue"], event["country"]) == ("a1", Decimal("2.5"), "BR")
    assert event["properties"] == '{"properties":"p"}'


@pytest.mark.parametrize("more", ["", "note,note", "2024"])
def test_a_header_of_canonical_names_is_one_whatever_else_is_in_it(bench: Bench, more: str) -> None:
    """As pandas writes its index, under no name; and columns of one name, or of a number."""
    values = ",".join("7" for _ in more.split(","))
    body = f"{more},event_ts,event_name,user_id\n{values},2020-01-01,v,u\n"
    (event,) = bench.load("a.csv", body, columns={}).events
    assert (event["event_ts"], event["event_name"], event["user_id"]) == (datetime(2020, 1, 1), "v", "u")


def test_a_json_key_of_a_canonical_name_may_come_in_later_rows(bench: Bench) -> None:
    """A purchase after more page views than the sample has is worth what the same row at the file's head is."""
    view = {"event_ts": "2020-01-01", "event_name": "page_view", "user_id": "u"}
    bought = {"event_ts": "2020-01-02", "event_name": "purchase", "anonymous_id": "d", "revenue": 10.5, "page": "/p"}
    lines = list(map(json.dumps, [view] * shapes.SAMPLE_RECORDS + [bought]))
    late = bench.load("a.jsonl", "\n".join(lines), columns={}).events[-1]
    first = bench.load("a.jsonl", lines[-1], columns={}).events[0]
    assert (late["anonymous_id"], late["revenue"], late["page"]) == ("d", Decimal("10.5"), "/p")
    assert {**late, "dump_row": 1} == first


def test_the_exact_canonical_name_goes_before_others_of_its_letters(bench: Bench) -> None:
    """One record with a Page and a PAGE of its own does not take the page from all others."""
    view = {"event_ts": "2020-01-01", "event_name": "v", "user_id": "u", "page": "/p"}
    lines = [json.dumps({**view, **more}) for more in ({}, {"Page": "Home", "PAGE": 1})]
    plain, odd = bench.load("a.jsonl", "\n".join(lines), columns={}).events
    assert (plain["page"], odd["page"]) == ("/p", "/p")
    assert (json.loads(plain["properties"]), json.loads(odd["properties"])) == ({}, {"Page": "Home", "PAGE": 1})


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_an_empty_file_is_loaded_where_columns_have_canonical_names(house: House, suffix: str) -> None:
    house.write("empty." + suffix, "")
    house.write("full.csv", "event_ts,event_name,user_id\n2020-01-01,v,u\n")
    report = house.load(columns={})
    assert (report.loaded, report.rows, report.failures) == (2, 1, ())


def test_a_file_of_unreadable_rows_is_rejected_where_columns_have_canonical_names(house: House) -> None:
    house.write("a.jsonl", "what\n{}\n")
    report = house.load(columns={})
    assert (report.loaded, report.failures) == (1, ())
    assert [reject["reason"] for reject in house.rejects()] == ["not valid JSON", "event_ts is missing"]


def test_a_mapping_is_parsed_once_for_all_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = source(columns={**COLUMNS, "item_id": "upper(x)"})
    mapping = Mapping(declared, bench.connection)
    (bench.root / "a.csv").write_text("ts,ev,u,x\n1,2,3,4\n")
    shape = inspection.inspect(bench.root / "a.csv", declared)
    first = mapping.query(shape)
    monkeypatch.setattr(Expression, "__init__", None)
    assert mapping.query(shape) is first
    with pytest.raises(MappingError):
        raise MappingError
