"""What an analyst is told of a mapping that does not fit a dump: the source, the key, and what there is."""

import json
import re

import pytest

from tests.ingestion.conftest import COLUMNS, House
from tests.ingestion.test_mappings import CSV, RECORD

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


def test_a_list_that_holds_the_events_is_pointed_at(house: House) -> None:
    house.write("a.json", json.dumps({"status": "ok", "data": [RECORD, RECORD]}))
    (failure,) = house.load(path=("landing/*.json",), columns={}).failures
    assert failure.endswith(". data holds a list of objects: with `unnest: data`, each is an event")
    (warning, *_) = house.load(path=("landing/*.json",), columns=COLUMNS).warnings
    assert "columns.event_ts: no column ts in any record looked at" in warning
    assert warning.endswith("with `unnest: data`, each is an event")


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
