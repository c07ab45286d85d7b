"""Each item of an unnested list is a row, and every document and item is accounted for."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingestion import inspection
from orchestration.ingestion.loader import Loader, connect
from orchestration.ingestion.mappings import Mapping
from tests.ingestion.conftest import COLUMNS, Bench, rows_of, source


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
        shape = inspection.inspect(path, declared, mapping.wanted)
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
