"""What a row holds beside its canonical columns is kept as its properties, under those of its own."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.ingestion import shapes
from orchestration.ingestion.sources import Source, with_preset
from tests.ingestion.conftest import COLUMNS, ROW, Bench, House


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
