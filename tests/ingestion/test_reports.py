"""What a load and its lake say: what matched nothing, why rows were rejected, how columns changed, how far it is."""

from typing import Any

import duckdb
import pytest

from tests.ingestion.conftest import COLUMNS, House, source
from tests.ingestion.test_lake import day


def test_paths_that_match_nothing_say_where_was_looked(house: House) -> None:
    house.write("web/a.csv", "ts,ev,u\n")
    root = house.root
    looked = {
        "landing/tills/*.csv": f"looked in {root}/landing/tills, which does not exist",
        "landing/web/*.jsonl": f"looked in {root}/landing/web",
        "landing/*/b.csv": f"looked in {root}/landing",
        "landing/web/b.csv": f"looked in {root}/landing/web",
    }
    for path, said in looked.items():
        assert house.load(path=(path,)).warnings == (f"source web: no file matches {path}; {said}",)
    assert f"{root}/landing/web is a directory, not a dump; to read its files, write landing/web/*" in (
        house.load(path=("landing/web/",)).warnings
    )
    assert not house.lake.is_loaded("web")


def test_a_text_without_its_quotes_is_told(house: House) -> None:
    house.write("a.csv", "ts,ev,u\n2020-01-01,v,u\n")
    report = house.load(columns={**COLUMNS, "event_name": "purchase"})
    assert "no column purchase in landing/a.csv. For the text purchase write \"'purchase'\"." in report.failures[0]
    assert report.failed == 1
    report = house.load(columns={**COLUMNS, "event_name": "upper(purchase)"})
    assert "For the text" not in report.failures[0]


def test_rejects_are_summed_up_by_reason(house: House) -> None:
    house.write("a.csv", "ts,ev,u\n2020-01-01,v,u\nx,v,u\n2020-01-01,,u\ny,v,u\n")
    house.write("b.csv", "ts,ev,u\nit's late,v,u\n")
    house.load()
    first, second = house.lake.frequent_rejects("web")
    assert (first.count, first.file, first.row_number, first.raw_text) == (3, "landing/a.csv", 2, "x,v,u")
    assert first.reason.startswith("event_ts is 'x', not a timestamp")
    assert (second.count, second.reason) == (1, "event_name is missing")
    assert house.lake.frequent_rejects("web", limit=1) == [first]
    assert house.lake.frequent_rejects("other") == []


def test_the_catalogue_is_published_whole(house: House) -> None:
    house.write("a.csv", day(1) + "2020-01-01,v\nnope,view,u\n")
    house.write("b.csv", day(2, rows=1))
    house.load()
    with duckdb.connect() as connection:
        for _ in range(2):
            house.lake.publish_catalog(connection)
        loads = connection.execute("select file, rows, rejected, first_event_ts from ops.loads order by load_seq")
        assert [(file, rows, rejected, str(first)) for file, rows, rejected, first in loads.fetchall()] == [
            ("landing/a.csv", 3, 2, "2020-01-01 00:00:00"),
            ("landing/b.csv", 1, 0, "2020-01-02 00:00:00"),
        ]
        rejects = connection.execute("select source, file, row_number, raw_text, reason from ops.rejects")
        assert rejects.fetchall() == [
            ("web", "landing/a.csv", 4, "2020-01-01,v", "expected 3 fields, found 2"),
            (
                *("web", "landing/a.csv", 5, "nope,view,u"),
                "event_ts is 'nope', not a timestamp that can be read; give a strptime expression",
            ),
        ]
    assert house.lake.rejected_share("web") == pytest.approx(2 / 6)
    assert house.lake.rejected_share("none") == 0.0


def test_a_lake_without_loads_publishes_empty_tables(house: House) -> None:
    with duckdb.connect() as connection:
        house.lake.publish_catalog(connection)
        assert connection.execute("select count(*) from ops.loads, ops.rejects").fetchall() == [(0,)]


def test_schema_drift_loads_and_is_reported(house: House) -> None:
    house.write("1.csv", "ts,ev,u,n\n2020-01-01,v,u,1\n")
    house.write("2.csv", "ts,ev,u,n,new\n2020-01-02,v,u,x,1\n")
    house.write("3.csv", "ts,ev,u\n2020-01-03,v,u\n")
    report = house.load(columns={**COLUMNS, "item_id": "n"})
    assert (report.rows, report.failures) == (3, ())
    assert [event["item_id"] for event in house.events()] == ["1", "x", None]
    assert [load.schema_changes for load in house.lake.loads()] == [
        "{}",
        '{"new": ["new"], "retyped": {"n": ["integer", "text"]}}',
        '{"missing": ["n", "new"]}',
    ]


def test_progress_is_told(house: House) -> None:
    for number in range(1, 6):
        house.write(f"{number}.csv", day(number))
    told: list[Any] = []
    house.lake.load(source(), data_dir=house.root, threads=2, on_progress=told.append)
    assert [progress.files_done for progress in told if progress.files_done] == [1, 2, 3, 4, 5]
    assert told[-1].bytes_done == told[-1].bytes_total
    assert told[-1].rows == 15
