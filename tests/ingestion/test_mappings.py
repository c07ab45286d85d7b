"""What an expression means over text: ids keep their spelling, and a row means the same in any file."""

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingestion import shapes
from orchestration.ingestion.expressions import Expression
from orchestration.ingestion.loader import Loader, connect
from orchestration.ingestion.mappings import Mapping, MappingError
from orchestration.ingestion.sources import Source, with_preset
from tests.ingestion.conftest import COLUMNS, Bench, House, rows_of, source

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


def test_a_row_on_which_an_expression_fails_is_rejected_and_says_which(bench: Bench) -> None:
    body = "ts,ev,u\n2020-01-01 00:00:00,v,u\nnever,v,u\n"
    outcome = bench.load("a.csv", body, columns={**COLUMNS, "event_ts": "strptime(ts, '%Y-%m-%d %H:%M:%S')"})
    assert outcome.loaded.rows == 1
    assert outcome.reasons == ["event_ts: the expression fails on this row: ts is 'never'"]


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


def test_the_rest_of_a_row_is_its_properties(bench: Bench) -> None:
    body = 'ts,ev,u,b,a,empty,q\n2020-01-01,v,u,1,"x ""y""",,\n'
    (event,) = bench.load("a.csv", body).events
    assert event["properties"] == '{"a":"x \\"y\\"","b":"1"}'
    record = {"ts": "2020-01-01", "ev": "v", "u": "u", "b": 1, "a": {"x": [None, 1.5]}, "none": None, "s": "é"}
    (event,) = bench.load("a.jsonl", json.dumps(record)).events
    assert event["properties"] == '{"a":{"x":[null,1.5]},"b":1,"s":"é"}'


def properties(bench: Bench, record: dict[str, Any], expression: str, **options: Any) -> Any:
    columns = {**COLUMNS, "event_id": "'1'", "properties": expression}
    outcome = bench.load("a.jsonl", json.dumps(record), **{"columns": columns, **options})
    return json.loads(outcome.events[0]["properties"]) if outcome.events else outcome.reasons[0]


ROW = {"ts": "2020-01-01", "ev": "v", "u": "u"}
OWN: dict[str, Any] = {
    "o": {"x": {"y": None}, "n": 1, "b": None},
    "l": [1, None],
    "n": 2,
    "t": ' {"n": 3}\n',
    "z": None,
}
PROPERTIES: dict[str, tuple[str, Any]] = {
    "an object": ("o", {**OWN["o"], "l": OWN["l"], "t": OWN["t"]}),
    "a part of one": ("o.x", {"y": None, "o": OWN["o"], "l": OWN["l"], "n": 2, "t": OWN["t"]}),
    "a part by an arrow": ("o -> 'x'", {"y": None, "o": OWN["o"], "l": OWN["l"], "n": 2, "t": OWN["t"]}),
    "one made of columns": ("json_object('m', n)", {"m": "2", "o": OWN["o"], "l": OWN["l"], "t": OWN["t"]}),
    "an object's text": ("t", {"n": 3, "o": OWN["o"], "l": OWN["l"]}),
    "an empty object": ("json_object()", {name: value for name, value in OWN.items() if name != "z"}),
    "a list": ("l", {"properties": OWN["l"], "o": OWN["o"], "n": 2, "t": OWN["t"]}),
    "a number": ("n", {"properties": 2, "o": OWN["o"], "l": OWN["l"], "t": OWN["t"]}),
    "null": ("z", {name: value for name, value in OWN.items() if name != "z"}),
    "JSON's null": ("cast('null' as json)", {name: value for name, value in OWN.items() if name != "z"}),
    "no JSON": ("t || 'x'", "properties is ' {\"n\": 3}\nx', not JSON"),
}


@pytest.mark.parametrize("case", PROPERTIES)
def test_properties_of_ones_own_are_laid_over_the_rest_of_the_row(bench: Bench, case: str) -> None:
    expression, expected = PROPERTIES[case]
    assert properties(bench, {**ROW, **OWN}, expression) == expected


def test_what_is_only_computed_with_stays_beside_properties_of_ones_own(bench: Bench) -> None:
    columns = {**COLUMNS, "event_id": "'1'", "revenue": "price * quantity", "page": "url", "properties": "o"}
    record = {**ROW, "price": 2.5, "quantity": 2, "url": "/", "o": {"price": 9}, "more": [1]}
    assert properties(bench, record, "o", columns=columns) == {"price": 9, "more": [1]}
    assert properties(bench, record | {"o": {}}, "o", columns=columns) == {"price": 2.5, "more": [1]}
    body = 'ts,ev,u,price,n,o,more\n2020-01-01,v,u,2.5,2,"{""a"": 1}",x\n2020-01-01,v,u,2.5,2,,\n'
    columns = {**COLUMNS, "revenue": "price * n", "properties": "o"}
    got = [json.loads(event["properties"]) for event in bench.load("a.csv", body, columns=columns).events]
    assert got == [{"a": 1, "price": "2.5", "n": "2", "more": "x"}, {"price": "2.5", "n": "2"}]


def test_what_a_preset_does_not_know_is_kept_beside_its_properties(house: House) -> None:
    call = {"type": "track", "event": "Bought", "userId": "u", "timestamp": "2020-01-01T00:00:00Z", "messageId": "m"}
    house.write("a.jsonl", json.dumps({**call, "properties": {"a": 1}, "new": {"b": 2}}))
    declared = Source(**with_preset({"name": "web", "path": "landing/*", "preset": "segment"}))
    assert not house.load(declared).failures
    (event,) = house.events()
    assert json.loads(event["properties"]) == {"a": 1, "type": "track", "new": {"b": 2}}


NAMES = st.sampled_from(["a", "b", "B", "c d", 'e"', "é", "", "~/", "properties", "o"])
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=5,
)


@pytest.mark.parametrize(("late", "examples"), [(False, 100), (True, 20)])
def test_neither_a_rows_rest_nor_its_own_properties_are_lost(bench: Bench, late: bool, examples: int) -> None:
    """Whether the sample shows the row, or it comes after."""

    @settings(max_examples=examples, deadline=None)
    @given(row=st.dictionaries(NAMES, JSON_VALUES, max_size=5), own=st.dictionaries(NAMES, JSON_VALUES, max_size=4))
    def law(row: dict[str, Any], own: dict[str, Any]) -> None:
        record = {**ROW, **row, "own": own}
        rest = {name: value for name, value in row.items() if value is not None}
        columns = {**COLUMNS, "properties": "own"}
        body = "\n".join(json.dumps(row) for row in ([ROW] * shapes.SAMPLE_RECORDS + [record] if late else [record]))
        event = bench.load("a.jsonl", body, columns=columns).events[-1]
        # As texts: to Python, true and 1 are equal.
        got = json.loads(event["properties"])
        assert json.dumps(got, sort_keys=True) == json.dumps({**rest, **own}, sort_keys=True)

    law()


def test_columns_of_the_canonical_name_need_no_declaration(bench: Bench) -> None:
    body = "event_ts,event_name,anonymous_id,Revenue,country,properties\n2020-01-01,v,a1,2.5,BR,p\n"
    (event,) = bench.load("a.csv", body, columns={}).events
    assert (event["anonymous_id"], event["revenue"], event["country"]) == ("a1", Decimal("2.5"), "BR")
    assert event["properties"] == '{"properties":"p"}'


PROPERTIES_BY_NAME = [{"plan": "pro", "n": {"m": [1, None]}}, {}, [1], "text", 5, True, None]


@pytest.mark.parametrize("late", [False, True])
def test_a_dumps_own_properties_need_no_declaration(bench: Bench, late: bool) -> None:
    row = {"event_ts": "2020-01-01", "event_name": "v", "user_id": "u"}
    rows = [{**row, "x": 1, "properties": value} for value in PROPERTIES_BY_NAME]
    body = "\n".join(map(json.dumps, [row] * shapes.SAMPLE_RECORDS * late + rows))
    events = bench.load("a.jsonl", body, columns={}).events[-len(rows) :]
    assert [json.loads(event["properties"]) for event in events] == [
        *({"x": 1, "plan": "pro", "n": {"m": [1, None]}}, {"x": 1}, {"x": 1, "properties": [1]}),
        *({"x": 1, "properties": "text"}, {"x": 1, "properties": 5}, {"x": 1, "properties": True}, {"x": 1}),
    ]


def test_a_texts_own_properties_are_json_where_they_are_an_object(bench: Bench) -> None:
    rows = ['"{""plan"": ""pro""}"', "{no", "5", ""]
    body = "event_ts,event_name,user_id,properties\n" + "".join(f"2020-01-01,v,u,{row}\n" for row in rows)
    events = bench.load("a.csv", body, columns={}).events
    found = [json.loads(event["properties"]) for event in events]
    assert found == [{"plan": "pro"}, {"properties": "{no"}, {"properties": "5"}, {}]


def test_a_json_key_of_a_canonical_name_may_come_in_later_rows(bench: Bench) -> None:
    """A purchase after more page views than the sample has is worth what the same row at the file's head is."""
    view = {"event_ts": "2020-01-01", "event_name": "page_view", "user_id": "u"}
    bought = {"event_ts": "2020-01-02", "event_name": "purchase", "anonymous_id": "d", "revenue": 10.5, "page": "/p"}
    lines = list(map(json.dumps, [view] * shapes.SAMPLE_RECORDS + [bought]))
    late = bench.load("a.jsonl", "\n".join(lines), columns={}).events[-1]
    first = bench.load("a.jsonl", lines[-1], columns={}).events[0]
    assert (late["anonymous_id"], late["revenue"], late["page"]) == ("d", Decimal("10.5"), "/p")
    assert {**late, "dump_row": 1} == first


def test_an_unnested_list_gives_a_row_for_each_item(bench: Bench) -> None:
    documents = [
        {"u": "u1", "tz": "x", "items": [{"ts": "2020-01-01", "ev": "a"}, {"ts": "2020-01-02", "ev": "b", "tz": "y"}]},
        {"u": "u2", "ts": "2020-01-03", "ev": "c"},
        {"u": "u3", "items": []},
        {"u": "u4", "items": [{"ts": "never", "ev": "d"}, 5]},
    ]
    body = "\n".join(map(json.dumps, documents)) + "\nnot json"
    outcome = bench.load("a.jsonl", body, unnest="items")
    got = [(e["dump_row"], e["user_id"], e["event_name"], json.loads(e["properties"])) for e in outcome.events]
    assert got == [(1, "u1", "a", {"tz": "x"}), (2, "u1", "b", {"tz": "y"}), (3, "u2", "c", {})]
    assert outcome.loaded.filtered == 1
    assert [reject["row_number"] for reject in outcome.rejects] == [5, 6, 7]
    assert '"never"' in outcome.rejects[0]["raw_text"]
    assert outcome.reasons[1:] == ["not a JSON object", "not valid JSON"]
    (event,) = bench.load(
        "a.jsonl", '  {"u": "u", "ts": "2020-01-01", "ev": "blanks before it"}', unnest="items"
    ).events
    assert event["user_id"] == "u"


def test_what_is_long_beside_an_unnested_list_is_not_repeated_for_each_item(tmp_path: Path) -> None:
    """A document of 1 MB beside 800 items would be 800 MB: here it has 200 MB, and is loaded."""
    items = [{"ts": "2020-01-01", "ev": "v", "n": n} for n in range(800)]
    document = {"u": "u", "a": items, "b": ["x" * 1000] * 1000, "c": "short", "d": "y" * 2000, "e/~": {"f": 1}}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(document))
    declared = source(unnest="a", columns={**COLUMNS, "item_id": "length(d)"})
    with connect(memory_limit="200MB", threads=1, spill=tmp_path / "spill") as connection:
        mapping = Mapping(declared, connection)
        shape = shapes.inspect(path, declared, mapping.wanted)
        target = tmp_path / "out.parquet"
        loaded = Loader(mapping, connection).load(path, shape, file="a", load_id="load", target=target)
    assert (loaded.rows, loaded.rejected) == (800, 0)
    events = rows_of(target)
    assert {event["item_id"] for event in events} == {"2000"}
    properties = json.loads(events[7]["properties"])
    assert properties == {"n": 7, "c": "short", "d": "y" * 2000, "e/~": {"f": 1}}


EVENTS: st.SearchStrategy[Any] = st.one_of(
    st.just({"ts": "2020-01-01", "ev": "v"}),
    st.just({"ts": "never", "ev": "v"}),
    st.sampled_from([5, None, [], "x", {}]),
)
MISSING = object()
LISTS = st.one_of(st.lists(EVENTS, max_size=4), st.sampled_from([None, {}, "x", MISSING]))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists=st.lists(LISTS, max_size=5), where=st.sampled_from([None, "u = 'u0'"]))
def test_every_document_and_every_item_of_its_list_is_accounted_for(
    bench: Bench, lists: list[Any], where: str | None
) -> None:
    """A document with an empty list is filtered; one without a list is a row itself, here one without a time."""
    documents = [{"u": f"u{n}", "items": items} for n, items in enumerate(lists)]
    documents = [{k: v for k, v in document.items() if v is not MISSING} for document in documents]
    outcome = bench.load("a.jsonl", "\n".join(map(json.dumps, documents)), unnest="items", where=where)
    good = filtered = bad = 0
    for number, items in enumerate(lists):
        left_out = where is not None and number > 0
        for item in items if isinstance(items, list) else [{}]:
            is_object = isinstance(item, dict)
            filtered += is_object and left_out
            good += is_object and not left_out and item.get("ts") == "2020-01-01"
            bad += not is_object or (not left_out and item.get("ts") != "2020-01-01")
        filtered += items == []
    assert (outcome.loaded.rows, outcome.loaded.filtered, outcome.loaded.rejected) == (good, filtered, bad)
    assert len(outcome.rejects) == bad


# ------------------------------------------------------------------------------------------ content hashes

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=5),
    st.floats(allow_nan=False, allow_infinity=False),
)
CONTENTS = st.dictionaries(st.sampled_from(["a", "B", "b", "c d", 'e"', "é", ""]), SCALARS, max_size=6)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENTS, other=CONTENTS, seed=st.randoms(use_true_random=False))
def test_a_hash_depends_on_a_rows_content_alone(
    bench: Bench, content: dict[str, Any], other: dict[str, Any], seed: Any
) -> None:
    """Not on key order, null keys, blanks, other rows, or whether the sample showed the keys."""
    base = {"ts": "2020-01-01", "ev": "v", "u": "u"}
    items = list({**base, **content, "null": None}.items())
    seed.shuffle(items)
    alone = bench.load("a.jsonl", json.dumps({**base, **content}))
    beside = bench.load(
        "b.jsonl", f"{json.dumps({**base, **other})}\n{json.dumps(dict(items), indent=None, separators=(' , ', ' : '))}"
    )
    assert beside.events[1]["event_id"] == alone.events[0]["event_id"]
    # As texts: to Python, true and 1.0 are equal.
    ours, others = (json.dumps(json.loads(o.events[0]["properties"]), sort_keys=True) for o in (alone, beside))
    same = ours == others
    assert (beside.events[0]["event_id"] == alone.events[0]["event_id"]) == same


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(CONTENTS, min_size=1, max_size=4), sampled=st.booleans())
def test_a_row_without_the_id_that_is_declared_is_named_by_its_content(
    bench: Bench, contents: list[dict[str, Any]], sampled: bool
) -> None:
    """As it is where none is declared: whether the sample shows such rows or not, and beside rows that have one."""
    rows = [{**ROW, **content} for content in contents]
    plain = [event["event_id"] for event in bench.load("a.jsonl", "\n".join(map(json.dumps, rows))).events]
    filler = [{**ROW, "id": f"i{n}"} for n in range(1 if sampled else shapes.SAMPLE_RECORDS)]
    nameless = [{**row, "id": None} if n % 2 else row for n, row in enumerate(rows)]
    for expression in ("id", "nullif(id, 'none')"):
        body = "\n".join(map(json.dumps, [*filler, *nameless]))
        events = bench.load("b.jsonl", body, columns={**COLUMNS, "event_id": expression}).events
        assert [event["event_id"] for event in events] == [*(row["id"] for row in filler), *plain]


def test_a_row_without_its_id_is_named_by_its_content_in_other_formats(bench: Bench) -> None:
    body = "ts,ev,u,id,x\n2020-01-01,v,u,1,a\n2020-01-01,v,u,,a\n2020-01-01,v,u,,b\n2020-01-01,v,u,,a\n"
    columns = {**COLUMNS, "event_id": "id"}
    first, *others = (event["event_id"] for event in bench.load("a.csv", body, columns=columns).events)
    assert first == "1"
    assert others == [event["event_id"] for event in bench.load("a.csv", body).events[1:]]
    assert others[0] == others[2] != others[1]
    table = pa.table({"ts": ["2020-01-01"] * 2, "ev": ["v"] * 2, "u": ["u"] * 2, "id": [7, None], "x": [1.5, 2.5]})
    path = bench.root / "ids.parquet"
    pq.write_table(table, path)
    events = bench.load("a.parquet", path.read_bytes(), columns=columns).events
    assert [event["event_id"] for event in events] == [
        "7",
        bench.load("a.parquet", path.read_bytes()).events[1]["event_id"],
    ]


def test_keys_beyond_the_sample_are_hashed_and_kept_alike(bench: Bench) -> None:
    late = {"ts": "2020-01-01", "ev": "v", "u": "u", "late": {"x": 1}, "a~/b": "t", "none": None}
    early = bench.load("a.jsonl", json.dumps(late)).events[0]
    filler = json.dumps({"ts": "2020-01-01", "ev": "v", "u": "u"}) + "\n"
    after = bench.load("b.jsonl", filler * (shapes.SAMPLE_RECORDS * 5) + json.dumps(late)).events[-1]
    assert after["event_id"] == early["event_id"]
    assert after["properties"] == early["properties"] == '{"a~/b":"t","late":{"x":1}}'


# ---------------------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "a column that is not there": (
        {**COLUMNS, "item_id": "Quantty"},
        "columns.item_id: no column Quantty in landing/a.csv. Did you mean Quantity\\?",
    ),
    "one in an expression": ({**COLUMNS, "item_id": "upper(itm)"}, "columns.item_id: no column itm in landing/a.csv."),
    "an expression that does not fit": (
        {**COLUMNS, "revenue": "Quantity * strptime(code, 'x')"},
        "columns.revenue `Quantity \\* strptime",
    ),
    "no event time": (
        {"event_name": "ev", "user_id": "u"},
        "`columns` gives no event_ts, and the dump has no column of that name",
    ),
    "nobody": ({"event_ts": "ts", "event_name": "ev"}, "`columns` gives no user_id or anonymous_id"),
    "a truth value for money": ({**COLUMNS, "revenue": "code = 'x'"}, "expected a number, but it is a boolean"),
    "an unsafe one": ({**COLUMNS, "item_id": "random()"}, "its result changes from run to run"),
    "no SQL": ({**COLUMNS, "item_id": "a b c"}, "columns.item_id `a b c`: cannot be read as SQL"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_name_the_source_the_key_and_what_there_is(house: House, case: str) -> None:
    columns, message = MISTAKES[case]
    house.write("a.csv", CSV)
    report = house.load(columns=columns)
    assert report.rows == 0
    (failure,) = report.failures
    assert "source web" in failure
    assert re.search(message, failure)


def test_a_name_that_lacks_quotes_is_offered_with_them(house: House) -> None:
    house.write("a.csv", "ts,ev,u,Item-No\n2020-01-02,buy,u,A1\n")
    (failure,) = house.load(columns={**COLUMNS, "item_id": "Item-No"}).failures
    assert """no column Item in landing/a.csv. Did you mean '"Item-No"'?""" in failure


def test_a_key_that_reads_like_a_path_is_offered_as_one(house: House) -> None:
    house.write("a.jsonl", json.dumps({**RECORD, "properties": {"$os": "iOS"}}))
    (failure,) = house.load(columns={**COLUMNS, "platform": "properties->>'$os'"}).failures
    assert "the key $os is written '$.\"$os\"'" in failure


def test_where_must_be_a_condition(house: House) -> None:
    house.write("a.csv", CSV)
    assert (
        "where `Quantity + 1`: expected a condition, but it is a bigint" in house.load(where="Quantity + 1").failures[0]
    )


def test_a_column_that_other_files_have_may_be_missing_from_one(house: House) -> None:
    house.write("a.csv", CSV)
    house.write("b.csv", "ts,ev,u\n2020-01-03,v,u\n")
    report = house.load(columns={**COLUMNS, "item_id": "upper(code)"})
    assert (report.rows, report.failures) == (3, ())
    assert [event["item_id"] for event in house.events()] == ["A1", "007", None]
    house.write("c.csv", "ts,ev,u\n2020-01-04,v,u\n")
    assert house.load(columns={**COLUMNS, "item_id": "upper(code)"}).failures == ()


def test_a_missing_json_key_is_a_warning(house: House) -> None:
    house.write("a.jsonl", json.dumps(RECORD))
    report = house.load(columns={**COLUMNS, "item_id": "actor.logn", "page": "pge"})
    assert report.rows == 1
    assert sorted(warning.split(". ")[0] for warning in report.warnings) == [
        "source web, columns.item_id: no column actor.logn in any record looked at",
        "source web, columns.page: no column pge in any record looked at",
    ]
    house.write("b.jsonl", json.dumps(RECORD | {"u": 8}))
    assert house.load(columns={**COLUMNS, "item_id": "actor.logn", "page": "pge"}).warnings == ()


def test_a_mapping_is_parsed_once_for_all_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = source(columns={**COLUMNS, "item_id": "upper(x)"})
    mapping = Mapping(declared, bench.connection)
    (bench.root / "a.csv").write_text("ts,ev,u,x\n1,2,3,4\n")
    shape = shapes.inspect(bench.root / "a.csv", declared)
    first = mapping.query(shape)
    monkeypatch.setattr(Expression, "__init__", None)
    assert mapping.query(shape) is first
    with pytest.raises(MappingError):
        raise MappingError
