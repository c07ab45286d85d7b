"""Hints: what events say about `avila.yml`."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration import hints
from orchestration.declarations import Declarations
from orchestration.hints import Arrived

NEW_YEAR = datetime(2024, 1, 1)


def declared(tmp_path: Path, text: str = "", source: str = "") -> Declarations:
    path = tmp_path / "avila.yml"
    path.write_text(f"{text}\nsources:\n  web:\n    path: a.csv\n{source}")
    return Declarations.load(path)


def web(
    names: Mapping[str, int],
    *,
    rows: int = 0,
    has_ids: bool = False,
    newest: tuple[int, int] = (0, 0),
    dates_only: bool = False,
) -> dict[str, Arrived]:
    return {
        "web": Arrived(
            rows=rows, has_ids=has_ids, newest_rows=newest[0], newest_ids=newest[1], names=names, first=NEW_YEAR,
            dates_only=dates_only,
        )
    }  # fmt: skip


def test_names_that_occur_are_not_spoken_of(tmp_path: Path) -> None:
    text = "key_events: [buy]\nconversion: {event: buy}\ncohorts: {anchor: first_key_event}"
    assert hints.names_without_events(declared(tmp_path, text), web({"buy": 1})) == []


def test_each_missing_name_is_told_once_with_all_its_places(tmp_path: Path) -> None:
    text = """
key_events: [Buy, gone]
funnels: {f: {steps: [{name: a, event: buy}, {name: b, event: buy, where: revenue > 1}, {where: revenue > 2}]}}
cohorts: {anchor: by}
"""
    sources = web({str(number): number for number in range(7)}) | {"other": web({"buy": 9})["web"]}
    assert hints.names_without_events(declared(tmp_path, text), sources) == [
        "no event is called 'Buy' in any source (key_events); did you mean 'buy'?",
        "no event is called 'gone' in any source (key_events); events are called 'buy', '6', '5', '4', '3' and 3 more",
        "no event is called 'purchase' in any source (conversion.event by default); "
        "events are called 'buy', '6', '5', '4', '3' and 3 more",
        "no event is called 'by' in any source (cohorts.anchor); did you mean 'buy'?",
    ]


def test_many_copies_are_told_unless_rows_have_ids_of_their_own(tmp_path: Path) -> None:
    assert hints.many_copies(declared(tmp_path), web({"a": 80}, rows=100)) == []
    (said,) = hints.many_copies(declared(tmp_path), web({"a": 70, "b": 9}, rows=100))
    assert said.startswith("source web: 21 of 100 rows (21%) are copies of another")
    assert hints.many_copies(declared(tmp_path), web({"a": 1}, rows=100, has_ids=True)) == []
    with_id = declared(tmp_path, source="    columns: {event_id: order_id}\n")
    assert hints.many_copies(with_id, web({"a": 1}, rows=100, newest=(80, 70))) == []
    (said,) = hints.many_copies(with_id, web({"a": 1}, rows=100, has_ids=True, newest=(80, 60)))
    assert said.startswith("source web: 20 of the 80 rows of its newest dump (25%) have the event_id of another")


def test_dates_alone_are_told_where_they_would_move(tmp_path: Path) -> None:
    west, east = "reporting_timezone: America/Sao_Paulo", "reporting_timezone: Asia/Tokyo"
    dates = web({"a": 1}, dates_only=True)
    (said,) = hints.dates_without_zone(declared(tmp_path, west), dates)
    assert "which is 21:00 of the day before in America/Sao_Paulo" in said
    assert hints.dates_without_zone(declared(tmp_path, east), dates) == []
    assert hints.dates_without_zone(declared(tmp_path), dates) == []
    assert hints.dates_without_zone(declared(tmp_path, west), web({"a": 1})) == []
    zoned = declared(tmp_path, west, "    timezone: UTC\n")
    assert hints.dates_without_zone(zoned, dates) == []


def test_what_arrived_is_read_from_the_warehouse_and_the_newest_dump(tmp_path: Path) -> None:
    with_id = declared(tmp_path, source="    columns: {event_id: order_id}\n")
    with duckdb.connect() as connection:
        for name, ids in (("old", "('x'), ('x'), ('x')"), ("new", "('x'), ('x'), ('y')")):
            connection.execute(f"copy (from (values {ids}) t(event_id)) to '{tmp_path}/{name}.parquet'")
        connection.execute("create schema ops")
        connection.execute("create schema intermediate")
        connection.execute(
            """
            create table ops.loads as from (values
                ('web', 'live', 3, '{"EVENT_ID": "text"}', 3, 'new.parquet'), ('web', 'replaced', 9, '{}', 4, 'gone'),
                ('shop', 'live', 2, '{}', 1, 'old.parquet'), ('shop', 'live', 0, '{}', 2, null)
            ) t(source, status, rows, schema_columns, load_seq, parquet_file)
            """
        )
        connection.execute(
            """
            create table intermediate.int_events_identified as from (values
                ('web', 'a', timestamp '2024-01-01'), ('web', 'b', timestamp '2024-01-02'),
                ('shop', 'a', timestamp '2024-01-01 10:00:00'), ('shop', 'a', timestamp '2024-01-01')
            ) t(source, event_name, event_ts)
            """
        )
        assert hints.arrived(connection, with_id, tmp_path) == {
            "shop": Arrived(
                rows=2, names={"a": 2}, first=NEW_YEAR, dates_only=False
            ),
            "web": Arrived(
                rows=3, has_ids=True, newest_rows=3, newest_ids=2, names={"a": 1, "b": 1}, first=NEW_YEAR,
                dates_only=True,
            ),
        }  # fmt: skip
