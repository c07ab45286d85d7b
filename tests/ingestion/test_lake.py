"""A content is in the lake exactly once, whatever happens to files, declarations and processes."""

import gzip
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.ingestion.lake import Lake
from orchestration.ingestion.reports import LoadReport
from tests.ingestion.conftest import COLUMNS, House, source

HEADER = "ts,ev,u\n"


def day(number: int, rows: int = 3) -> str:
    """A dump of one day."""
    lines = (f"2020-01-{number:02d} 00:00:{row:02d},view,u{row}\n" for row in range(rows))
    return HEADER + "".join(lines)


def counts(report: LoadReport) -> dict[str, int]:
    """The counts of a report that are not zero."""
    names = ("loaded", "replaced", "unchanged", "duplicate", "withdrawn", "rows")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def statuses(house: House) -> list[tuple[str, str, int | None]]:
    return [(load.file, load.status, load.retired_seq) for load in house.lake.loads()]


def test_a_load_fills_every_canonical_column_in_order(house: House) -> None:
    house.write("a.csv", "ts,ev,u,revenue,other\n2020-01-01T10:00:00Z,buy,u1,9.99,x\n")
    house.load()
    event = house.events()[0]
    assert list(event) == [
        *("event_id", "event_name", "event_ts", "received_ts", "user_id", "anonymous_id", "source_session_id"),
        *("page", "referrer", "utm_source", "utm_medium", "utm_campaign", "platform", "device", "country"),
        *("item_id", "quantity", "revenue", "currency", "properties", "source", "dump_file", "dump_row", "load_id"),
    ]
    file = house.root / "lake" / str(house.lake.loads()[0].parquet_file)
    with duckdb.connect() as connection:
        described = connection.execute(f"describe select * from '{file}'").fetchall()
    types = {row[0]: row[1] for row in described}
    assert {types[name] for name in ("event_ts", "received_ts")} == {"TIMESTAMP"}
    assert {types[name] for name in ("quantity", "revenue")} == {"DECIMAL(18,4)"}
    assert types["dump_row"] == "BIGINT"
    assert {kind for name, kind in types.items() if kind not in ("TIMESTAMP", "DECIMAL(18,4)", "BIGINT")} == {"VARCHAR"}
    assert (event["source"], event["dump_file"], event["dump_row"]) == ("web", "landing/a.csv", 1)
    assert event["properties"] == '{"other":"x"}'


def test_loading_again_loads_nothing(house: House) -> None:
    for number in (1, 2, 3):
        house.write(f"{number}.csv", day(number))
    assert counts(house.load()) == {"loaded": 3, "rows": 9}
    before = house.files()
    assert counts(house.load()) == {"unchanged": 3}
    for path in (house.root / "landing").iterdir():
        path.touch()
    assert counts(house.load()) == {"unchanged": 3}
    assert house.files() == before


def test_a_renamed_copy_loads_nothing_and_says_so(house: House) -> None:
    house.write("a.csv", day(1))
    house.load()
    house.write("copy.csv", day(1))
    report = house.load()
    assert counts(report) == {"unchanged": 1, "duplicate": 1}
    assert "landing/copy.csv has the content of landing/a.csv" in report.warnings[0]
    assert counts(house.load()) == {"unchanged": 2}
    assert len(house.events()) == 3
    assert statuses(house) == [("landing/a.csv", "live", None), ("landing/copy.csv", "duplicate", None)]


def test_a_changed_file_replaces_its_rows(house: House) -> None:
    house.write("a.csv", day(1))
    house.write("b.csv", day(2))
    house.load()
    house.write("a.csv", day(3, rows=5))
    assert counts(house.load()) == {"loaded": 1, "replaced": 1, "unchanged": 1, "rows": 5}
    assert {str(event["event_ts"])[:10] for event in house.events()} == {"2020-01-02", "2020-01-03"}
    old, _, new = house.lake.loads()
    assert (old.status, old.retired_seq, new.load_seq) == ("replaced", 3, 3)


def test_the_same_bytes_in_another_partition_are_other_rows(house: House) -> None:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"u": ["u1"]}), out)
    content = bytes(out.getvalue())
    for name in ("dt=2020-01-01/a.parquet", "dt=2020-01-02/a.parquet", "dt=2020-01-02/copy.parquet"):
        house.write(name, content)
    columns = {"event_ts": "dt", "event_name": "'view'", "user_id": "u"}
    report = house.load(path=("landing/**/*.parquet",), columns=columns)
    assert counts(report) == {"loaded": 2, "duplicate": 1, "rows": 2}
    assert [str(event["event_ts"])[:10] for event in house.events()] == ["2020-01-01", "2020-01-02"]


def test_a_changed_file_whose_old_content_another_still_holds_replaces_nothing(house: House) -> None:
    house.write("a.csv", day(1))
    house.write("b.csv", day(1))
    house.load()
    house.write("a.csv", day(2))
    assert counts(house.load()) == {"loaded": 1, "unchanged": 1, "rows": 3}
    assert len(house.events()) == 6
    house.write("b.csv", day(3))
    assert counts(house.load()) == {"loaded": 1, "replaced": 1, "unchanged": 1, "rows": 3}
    assert {str(event["event_ts"])[:10] for event in house.events()} == {"2020-01-02", "2020-01-03"}


def test_a_content_that_comes_back_is_loaded_anew(house: House) -> None:
    for number in (1, 2, 1):
        house.write("a.csv", day(number))
        house.load()
    first, second, third = house.lake.loads()
    assert (first.status, second.status, third.status) == ("replaced", "replaced", "live")
    assert len({first.load_id, second.load_id, third.load_id}) == 3
    assert len(house.events()) == 3


def test_files_that_go_away_keep_their_rows_unless_declared_otherwise(house: House) -> None:
    house.write("a.csv", day(1))
    house.write("b.csv", day(2))
    house.load()
    (house.root / "landing" / "a.csv").unlink()
    assert counts(house.load()) == {"unchanged": 1}
    assert len(house.events()) == 6
    assert counts(house.load(removed_files="withdraw")) == {"unchanged": 1, "withdrawn": 1}
    assert len(house.events()) == 3
    house.write("a.csv", day(1))
    assert counts(house.load(removed_files="withdraw")) == {"loaded": 1, "unchanged": 1, "rows": 3}


def test_a_source_of_which_all_is_withdrawn_was_loaded_all_the_same(house: House) -> None:
    assert not house.lake.was_loaded("web")
    house.write("a.csv", day(1)).rename(house.root / "a.csv")
    house.load()
    assert not house.lake.was_loaded("web")
    (house.root / "a.csv").rename(house.root / "landing" / "a.csv")
    house.load()
    (house.root / "landing" / "a.csv").unlink()
    # A disk that is not mounted leaves an empty directory.
    assert not any("went with" in said for said in house.load().warnings)
    assert house.lake.is_loaded("web")
    report = house.load(removed_files="withdraw")
    assert counts(report) == {"withdrawn": 1}
    assert any("none of its files is there any more, and all of its rows went" in said for said in report.warnings)
    assert (house.lake.is_loaded("web"), house.lake.was_loaded("web")) == (False, True)
    assert not any("went with" in said for said in house.load(removed_files="withdraw").warnings)


def test_a_file_that_moves_is_not_withdrawn(house: House) -> None:
    path = house.write("a.csv", day(1))
    house.load(removed_files="withdraw")
    path.rename(path.with_name("b.csv"))
    assert counts(house.load(removed_files="withdraw")) == {"duplicate": 1}
    assert len(house.events()) == 3


def test_a_changed_mapping_reloads_every_file_in_one_step(house: House) -> None:
    for number in (1, 2):
        house.write(f"{number}.csv", day(number))
    house.load()
    changed = {**COLUMNS, "event_name": "upper(ev)"}
    assert counts(house.load(columns=changed)) == {"loaded": 2, "replaced": 2, "rows": 6}
    assert {event["event_name"] for event in house.events()} == {"VIEW"}
    assert counts(house.load(columns=changed)) == {"unchanged": 2}
    assert counts(house.load()) == {"loaded": 2, "replaced": 2, "rows": 6}
    assert {event["event_name"] for event in house.events()} == {"view"}


def test_a_file_gone_before_its_mapping_changed_keeps_the_old_one_visibly(house: House) -> None:
    path = house.write("a.csv", day(1))
    house.write("b.csv", day(2))
    house.load()
    path.unlink()
    report = house.load(columns={**COLUMNS, "event_name": "upper(ev)"})
    assert {event["event_name"] for event in house.events()} == {"view", "VIEW"}
    assert "keep the mapping they were loaded with (such as landing/a.csv)" in report.warnings[0]


def test_a_file_that_changed_with_its_mapping_is_not_gone(house: House) -> None:
    house.write("a.csv", day(1))
    house.load()
    house.write("a.csv", day(2))
    report = house.load(columns={**COLUMNS, "event_name": "upper(ev)"})
    assert counts(report) == {"loaded": 1, "replaced": 1, "rows": 3}
    assert report.warnings == ()


def test_a_mapping_that_breaks_a_file_leaves_its_rows_as_they_were(house: House) -> None:
    house.write("a.csv", day(1))
    house.load()
    report = house.load(columns={**COLUMNS, "event_name": "nothing"})
    assert "no column nothing" in report.failures[0]
    assert len(house.events()) == 3


def test_a_file_that_changes_into_garbage_keeps_its_rows_until_it_can_be_read(house: House) -> None:
    house.write("a.csv.gz", gzip.compress(day(1).encode()))
    house.load()
    house.write("a.csv.gz", b"\x1f\x8bgarbage")
    for _ in range(2):
        assert len(house.load().failures) == 1
        assert len(house.events()) == 3
    house.write("a.csv.gz", gzip.compress(day(2).encode()))
    assert counts(house.load()) == {"loaded": 1, "replaced": 1, "rows": 3}


def test_pruning_deletes_what_was_retired_and_applied(house: House) -> None:
    house.write("a.csv", day(1))
    house.load()
    house.write("a.csv", day(2))
    house.load()
    retired = house.lake.loads()[0].retired_seq
    assert retired is not None
    assert house.lake.prune(retired - 1) == 0
    assert len(house.files()) == 2
    assert house.lake.prune(retired) == 1
    assert len(house.files()) == 1
    assert house.lake.loads()[0].parquet_file is None
    assert len(house.events()) == 3


def test_sources_do_not_touch_one_another(house: House) -> None:
    house.write("a.csv", day(1))
    house.load(name="one")
    assert counts(house.load(name="two")) == {"loaded": 1, "rows": 3}
    assert counts(house.load(name="one")) == {"unchanged": 1}
    assert len({load.load_id for load in house.lake.loads()}) == 2


# ------------------------------------------------------------------------------------------------ laws


def content_of(house: House) -> list[tuple[Any, ...]]:
    """The lake's events without what tells loads apart."""
    return sorted(
        tuple(value for name, value in event.items() if name not in ("load_id", "dump_file"))
        for event in house.events()
    )


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(1, 4))), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, every=st.booleans())
def test_the_lake_is_a_function_of_the_landing(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int | None]], every: bool
) -> None:
    """Files written, overwritten, copied and deleted in any order, loaded after each step or only at the end."""
    house = House(tmp_path_factory.mktemp("house"))
    for name, content in steps:
        path = house.root / "landing" / f"{name}.csv"
        if content is not None:
            house.write(path.name, day(content))
        elif path.exists():
            path.unlink()
        if every:
            house.load(removed_files="withdraw")
    house.load(removed_files="withdraw")
    fresh = House(tmp_path_factory.mktemp("fresh"))
    (fresh.root / "landing").mkdir()
    for path in (house.root / "landing").glob("*"):
        fresh.write(path.name, path.read_bytes())
    fresh.load()
    assert content_of(house) == content_of(fresh)
    live = {load.parquet_file for load in house.lake.loads() if load.parquet_file}
    assert house.files() == live
    for opened in (house, fresh):
        opened.lake.close()


def test_the_order_in_which_files_arrive_does_not_matter(tmp_path: Path) -> None:
    dumps = {f"{number}.csv": day(number % 7 + 1, rows=number) for number in range(1, 12)}
    contents = []
    for seed in range(3):
        house = House(tmp_path / str(seed))
        names = random.Random(seed).sample(sorted(dumps), len(dumps))
        for start in range(0, len(names), 4):
            for name in names[start : start + 4]:
                house.write(name, dumps[name])
            house.load()
        contents.append(content_of(house))
        house.lake.close()
    assert contents[0] == contents[1] == contents[2]


def test_the_same_row_is_the_same_event_in_any_file_under_any_column_order(house: House) -> None:
    house.write("a.csv", "ts,ev,u,x,y\n2020-01-01,v,u,1,\n")
    house.write("b.csv", "y,u,ev,ts,x,z\n,u,v,2020-01-01,1,\n")
    house.write("c.csv", "ts,ev,u,x,y\n2020-01-01,v,u,,1\n")
    house.load()
    one, two, other = house.events()
    assert one["event_id"] == two["event_id"] != other["event_id"]


def test_a_second_lake_waits_for_the_first(house: House) -> None:
    """Two handles on one lake, taking turns: nothing is loaded twice."""
    house.write("a.csv", day(1))
    second = Lake(house.root / "lake")
    house.load()
    assert second.load(source(), data_dir=house.root).unchanged == 1
    second.close()
    assert len(house.events()) == 3
