"""Dumps that land begin a run once they have come to rest, and once only."""

from contextlib import closing
from pathlib import Path

from orchestration.arrivals import QUIET_SECONDS, Arrivals, new_dumps
from orchestration.declarations import Declarations
from orchestration.ingestion.lake import Lake


def test_a_run_begins_when_dumps_have_come_to_rest() -> None:
    one, two = ("a", 1, 1), ("b", 1, 1)
    looks = [
        ([], 0.0, False),
        ([one], 0.0, False),
        ([one], QUIET_SECONDS - 1, False),
        ([one, two], QUIET_SECONDS, False),
        ([two, one], 2 * QUIET_SECONDS, True),
        ([one, two], 9 * QUIET_SECONDS, False),
        ([], 10 * QUIET_SECONDS, False),
        ([("a", 2, 2)], 11 * QUIET_SECONDS, False),
        ([("a", 2, 2)], 12 * QUIET_SECONDS, True),
    ]
    arrivals = Arrivals()
    for new, now, expected in looks:
        arrivals, begins = Arrivals.from_json(arrivals.to_json()).look(new, now=now)
        assert begins == expected, now


def test_a_dump_is_new_until_it_is_loaded_and_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "avila.yml").write_text("sources:\n  web: {path: ['landing/*.csv', 's3://bucket/*.csv']}\n")
    sources = Declarations.load(tmp_path / "avila.yml").sources
    here = {"web": sources["web"].model_copy(update={"path": ("landing/*.csv",)})}
    dump, catalog = tmp_path / "landing" / "a.csv", tmp_path / "lake" / "catalog.sqlite"
    dump.parent.mkdir()
    dump.write_text("event_ts,event_name,user_id\n2025-01-01,x,u\n")
    assert [path for path, *_ in new_dumps(sources, tmp_path, catalog)] == [str(dump)]
    with closing(Lake(tmp_path / "lake")) as lake:
        lake.load(here["web"], data_dir=tmp_path, memory_limit="1GB", threads=1)
    assert new_dumps(sources, tmp_path, catalog) == []
    dump.write_text("event_ts,event_name,user_id\n2025-01-01,x,u\n2025-01-02,x,u\n")
    assert len(new_dumps(sources, tmp_path, catalog)) == 1
