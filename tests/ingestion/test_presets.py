"""Presets: every canonical column against values set by hand, and laws that hold for any dump."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.ingestion.sources import preset, preset_names
from tests.ingestion.conftest import LoadPreset, Row, canonical, without

FIXTURES = Path(__file__).parent / "fixtures"
HASHED = re.compile(r"[0-9a-f]{32}")


def expected(name: str) -> list[Row]:
    return list(yaml.safe_load((FIXTURES / name / "expected.yml").read_text(encoding="utf-8")))


def dumps(name: str) -> list[str]:
    """The fixture's dumps: whatever lies beside the expectation."""
    return sorted(str(path) for path in (FIXTURES / name).iterdir() if path.name != "expected.yml")


def test_every_preset_has_a_fixture_that_fills_the_required_columns() -> None:
    for name in preset_names():
        columns = {column for row in expected(name) for column in row}
        assert {"event_ts", "event_name"} <= columns, name
        assert columns & {"user_id", "anonymous_id"}, name
        # Each column that a preset maps is filled on some row of its fixture.
        assert set(preset(name)["columns"]) <= columns | {"event_id", "properties"}, name


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_fills_every_column_as_set_by_hand(name: str, load: LoadPreset) -> None:
    events, wanted = load(name, *dumps(name)), expected(name)
    assert [event["event_name"] for event in events] == [row["event_name"] for row in wanted]
    for event, row in zip(events, wanted, strict=True):
        if "event_id" not in row:
            assert HASHED.fullmatch(event["event_id"]), row
        hidden = [column for column in ("event_id", "properties") if column not in row]
        assert without(canonical(event), *hidden) == canonical(row)
        if some := row.get("some_properties"):
            assert {key: event["properties"].get(key) for key in some} == some
    assert len({event["event_id"] for event in events}) == len(events)


@pytest.mark.parametrize("told", [0, 600])
@pytest.mark.parametrize(
    ("distinct_id", "device_id", "user_id"),
    [("ana", None, "ana"), (123, None, "123"), (123, "18f-aa", "123"), ("ana", 456, "ana"), (123, 123, None)],
)
def test_a_visitor_of_mixpanel_is_told_by_any_kinds_of_ids(
    tmp_path: Path,
    load: LoadPreset,
    told: int,
    distinct_id: str | int,
    device_id: str | int | None,
    user_id: str | None,
) -> None:
    """Servers send numbers and no device; that there are others, a file may show late."""
    ids = [(number, None) for number in range(1000, 1000 + told)] + [(distinct_id, device_id)]
    lines = [
        {
            "event": "a",
            "properties": {"time": 1706763600, "$insert_id": str(i), "distinct_id": one}
            | ({} if device is None else {"$device_id": device}),
        }
        for i, (one, device) in enumerate(ids)
    ]
    (tmp_path / "export.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = load("mixpanel", tmp_path / "export.jsonl")[-1]
    assert (found["user_id"], found["anonymous_id"]) == (user_id, None if device_id is None else str(device_id))


def test_local_times_of_mixpanel_are_declared_as_the_readme_says(tmp_path: Path, load: LoadPreset) -> None:
    said = {"event": "a", "properties": {"time": 1740830400, "distinct_id": "ana", "$insert_id": "i"}}
    (tmp_path / "export.jsonl").write_text(json.dumps(said), encoding="utf-8")
    columns = {"event_ts": "make_timestamp(properties.time * 1000000)"}
    (event,) = load("mixpanel", tmp_path / "export.jsonl", timezone="America/Sao_Paulo", columns=columns)
    assert str(event["event_ts"]) == "2025-03-01 15:00:00"


def test_a_batch_is_the_calls_that_are_in_it(tmp_path: Path, load: LoadPreset) -> None:
    calls = list(map(json.loads, (FIXTURES / "segment" / "1_calls.jsonl").read_text(encoding="utf-8").splitlines()))
    (tmp_path / "batch.jsonl").write_text(json.dumps({"batch": calls}), encoding="utf-8")
    one_by_one = load("segment", FIXTURES / "segment" / "1_calls.jsonl")
    assert list(map(canonical, load("segment", tmp_path / "batch.jsonl"))) == list(map(canonical, one_by_one))


@pytest.mark.parametrize("name", ["ga4", "posthog"])
def test_parquet_gives_what_json_gives(name: str, tmp_path: Path, load: LoadPreset) -> None:
    """DuckDB's reader makes lists of structs of the arrays, as the warehouse that wrote the dump would."""
    (dump,) = dumps(name)
    with duckdb.connect() as connection:
        connection.execute(f"copy (from read_json('{dump}')) to '{tmp_path / 'dump.parquet'}' (format parquet)")
    hidden = ("event_id", "properties")
    from_parquet = [without(canonical(event), *hidden) for event in load(name, tmp_path / "dump.parquet")]
    assert from_parquet == [without(canonical(event), *hidden) for event in load(name, *dumps(name))]


def test_a_visit_that_goes_on_keeps_the_ids_of_its_actions(tmp_path: Path, load: LoadPreset) -> None:
    visits = json.loads((FIXTURES / "matomo" / "last_visits.json").read_text(encoding="utf-8"))
    before = load("matomo", FIXTURES / "matomo" / "last_visits.json")
    visits[0]["actionDetails"].append({"type": "outlink", "url": "https://x.example/", "timestamp": 1706763800})
    visits[0] |= {"visitDuration": "200", "lastActionTimestamp": 1706763800, "actions": "2"}
    (tmp_path / "later.json").write_text(json.dumps(visits), encoding="utf-8")
    after = {event["event_id"] for event in load("matomo", tmp_path / "later.json")}
    assert {event["event_id"] for event in before} < after
    assert len(after) == len(before) + 1


def test_rows_without_an_id_of_their_own_are_told_apart(tmp_path: Path, load: LoadPreset) -> None:
    call = {"type": "track", "event": "Opened", "userId": "u-1", "timestamp": "2024-01-01T00:00:00Z"}
    calls = [call, call | {"userId": "u-2"}, call | {"properties": {"door": 2}}, call]
    (tmp_path / "calls.jsonl").write_text("\n".join(map(json.dumps, calls)), encoding="utf-8")
    first, second, third, again = (event["event_id"] for event in load("segment", tmp_path / "calls.jsonl"))
    assert len({first, second, third}) == 3
    assert again == first


TIMES = {
    "timestamp",
    "created_at",
    "receivedAt",
    "event_timestamp",
    "event_time",
    "server_received_time",
    "inserted_at",
}


def records(text: str) -> list[Any]:
    return json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines()))


def leaves(value: Any) -> Iterator[str]:
    """The scalars in a JSON value, as texts; times and what says nothing left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(None if key in TIMES else inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif value not in (None, "", -1):
        yield str(value)


@pytest.mark.parametrize(
    "name",
    [
        "amplitude",
        "ga4",
        "gharchive",
        "matomo",
        "mixpanel",
        "posthog",
        "rudderstack",
        "segment",
    ],
)
def test_nothing_that_a_dump_says_is_lost(name: str, load: LoadPreset) -> None:
    texts = [Path(path).read_text(encoding="utf-8") for path in dumps(name)]
    said = {leaf for text in texts for line in records(text) for leaf in leaves(line)}
    events = load(name, *dumps(name))
    kept = {leaf for event in events for leaf in leaves({**canonical(event), "event_ts": None, "received_ts": None})}
    # A list of keys and values may have become an object.
    kept |= {key for event in events for key in event["properties"]}
    assert not said - kept


def test_what_is_declared_comes_before_what_a_preset_says(load: LoadPreset) -> None:
    columns = {"page": "context.page.url", "country": "'BR'"}
    events = load("segment", FIXTURES / "segment" / "1_calls.jsonl", columns=columns)
    assert events[0]["page"] == "https://shop.example/academy/?utm_source=newsletter"
    assert {event["country"] for event in events} == {"BR"}
    assert events[0]["utm_source"] == "newsletter"


def test_apps_of_snowplow_name_device_and_session_in_a_context(tmp_path: Path, load: LoadPreset) -> None:
    columns = preset("snowplow")["csv"]["columns"]
    session: Row = {"schema": "iglu:com.snowplowanalytics.snowplow/client_session/jsonschema/1-0-2"}
    session["data"] = {"userId": "device", "sessionId": "session"}
    contexts = [{"schema": "iglu:x/web_page/jsonschema/1-0-0", "data": {"userId": "other"}}, session]
    known = {"event": "struct", "se_action": "tap", "collector_tstamp": "2024-02-01", "network_userid": "network"}
    rows = [
        {"event_id": "app", "contexts": json.dumps({"data": contexts})},
        {"event_id": "web", "contexts": json.dumps({"data": contexts[:1]})},
        {"event_id": "cut", "contexts": '{"data": ['},
    ]
    lines = ["\t".join({**known, **row}.get(column, "") for column in columns) for row in rows]
    path = tmp_path / "enriched.tsv"
    path.write_text("\n".join(lines))
    found = [
        (event["event_id"], event["anonymous_id"], event["source_session_id"])
        for event in load("snowplow", path, csv={"quote": ""})
    ]
    assert found == [("app", "device", "session"), ("web", "network", None), ("cut", "network", None)]
