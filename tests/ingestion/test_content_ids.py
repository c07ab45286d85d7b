"""A row without an id of its own is named by its content: by all of it, and by nothing else."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingestion import shapes
from tests.ingestion.conftest import COLUMNS, ROW, Bench

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
