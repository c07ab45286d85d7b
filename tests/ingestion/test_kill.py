"""A load killed at any moment and run again gives the lake of an undisturbed load, and leaves nothing behind."""

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.ingestion.lake import Lake
from orchestration.settings import PROJECT_ROOT
from tests.ingestion.conftest import House, source

Kill = Callable[[Path, dict[str, Any]], bool]
Expected = dict[str, list[tuple[Any, ...]]]


def dump(number: int, rows: int) -> str:
    lines = (f"2020-01-{number % 28 + 1:02d} 00:00:{row % 60:02d},view,u{row}\n" for row in range(rows))
    return "ts,ev,u\n" + "".join(lines) + "broken,line\n"


def landing(house: House, *, changed: bool) -> None:
    """Five dumps and a copy; when changed, one is new, one different, one renamed."""
    for number in range(5):
        house.write(f"{number}.csv", dump(number, rows=50 + number))
    house.write("copy.csv", dump(3, rows=53))
    if changed:
        house.write("1.csv", dump(20, rows=40))
        house.write("new.csv", dump(21, rows=70))
        (house.root / "landing" / "2.csv").rename(house.root / "landing" / "moved.csv")


def state(house: House) -> list[tuple[Any, ...]]:
    """All that a reader of the lake can see, but for when it was loaded and how long that took."""
    loads = [
        (load.file, load.status, load.rows, load.rejected, load.load_id, load.content_hash, load.schema_changes)
        for load in house.lake.loads()
    ]
    events = [tuple(event.values()) for event in house.events()]
    rejects = [tuple(reject.values()) for reject in house.rejects()]
    return [*sorted(loads), *events, *rejects]


@pytest.fixture(scope="module")
def kill() -> Iterator[Kill]:
    """Loads a data directory in another process, which dies on the way; returns whether it did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ingestion.killed"],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout

    def order(root: Path, after: dict[str, Any]) -> bool:
        print(json.dumps({"root": str(root), "after": after}), file=process.stdin, flush=True)
        answer = json.loads(process.stdout.readline())
        assert answer["killed"] or answer["status"] == 0
        return bool(answer["killed"])

    with process:
        yield order
        process.stdin.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """The lake after an undisturbed first load, and after a later one."""
    house = House(tmp_path_factory.mktemp("undisturbed"))
    states = {}
    for when in ("first", "later"):
        landing(house, changed=when == "later")
        house.load()
        states[when] = state(house)
    house.lake.close()
    return states


def check(root: Path, expected: list[tuple[Any, ...]]) -> None:
    """Load once more, undisturbed: the lake is the expected one, with no file that the catalogue does not know."""
    house = House(root)
    assert not house.load().failures
    assert state(house) == expected
    loads = house.lake.loads()
    known = {load.parquet_file for load in loads} | {load.rejects_file for load in loads}
    assert house.files() == known - {None}
    assert not any((root / "lake" / "staging").iterdir())
    house.lake.close()


# Every call at which a load does something that lasts, before and after it.
CALLS = [
    *(("sync", call) for call in (1, 2, 5, 20)),
    *(("place", call) for call in (1, 2, 7, 18)),
    *(("add", call) for call in (1, 2, 9, 12)),
    *(("see", call) for call in (1, 2, 9, 12)),
    *(("next_seq", call) for call in (1, 2, 11)),
    *(("sweep", call) for call in (1, 2, 3, 4)),
]


@pytest.mark.parametrize(("function", "call"), CALLS)
def test_a_first_load_killed_at_a_step(house: House, kill: Kill, expected: Expected, function: str, call: int) -> None:
    landing(house, changed=False)
    assert kill(house.root, {"function": function, "call": call})
    check(house.root, expected["first"])


@pytest.mark.parametrize(("function", "call"), [("retire", 1), ("retire", 2), ("add", 1), ("see", 2), ("see", 4)])
def test_a_later_load_killed_at_a_step(house: House, kill: Kill, expected: Expected, function: str, call: int) -> None:
    landing(house, changed=False)
    house.load()
    landing(house, changed=True)
    assert kill(house.root, {"function": function, "call": call})
    check(house.root, expected["later"])


def random_kills(root: Path, kill: Kill, expected: Expected, *, kills: int, seed: int) -> None:
    """Kill loads of new lakes, some more than once before each is let be, until so many have been killed."""
    moments = random.Random(seed)
    undisturbed = House(root / "undisturbed")
    landing(undisturbed, changed=False)
    began = time.monotonic()
    assert not kill(undisturbed.root, {"seconds": 60.0})
    whole = time.monotonic() - began
    for number in itertools.count():
        house = House(root / str(number))
        landing(house, changed=False)
        commit_seconds = moments.choice([0.0, 2.0])
        for _ in range(moments.choice([1, 1, 2, 3])):
            kills -= kill(house.root, {"seconds": moments.uniform(0.0, whole), "commit_seconds": commit_seconds})
        check(house.root, expected["first"])
        if kills <= 0:
            break


def test_a_load_killed_at_random_moments(tmp_path: Path, kill: Kill, expected: Expected) -> None:
    random_kills(tmp_path, kill, expected, kills=50, seed=1)


@pytest.mark.slow
def test_a_load_killed_at_many_random_moments(tmp_path: Path, kill: Kill, expected: Expected) -> None:
    random_kills(tmp_path, kill, expected, kills=200, seed=2)


def test_two_loads_at_once_do_no_harm(house: House, expected: Expected) -> None:
    landing(house, changed=False)
    program = (
        "import sys; from pathlib import Path; from orchestration.ingestion.lake import Lake; "
        "from tests.ingestion.conftest import source; root = Path(sys.argv[1]); "
        "print(Lake(root / 'lake').load(source(), data_dir=root, memory_limit='500MB', threads=1).loaded)"
    )
    command = [sys.executable, "-c", program, str(house.root)]
    both = [subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    loaded = [int(process.communicate(timeout=60)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(loaded) == [0, 5]
    check(house.root, expected["first"])


def test_a_file_still_being_written_is_left_for_the_next_load(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.ingestion.landing import Landing

    path = house.write("growing.csv", dump(1, rows=10))
    house.write("whole.csv", dump(2, rows=5))
    see = Landing._see

    def see_while_it_grows(self: Landing, name: str, *rest: Any) -> Any:
        seen = see(self, name, *rest)
        if name.endswith("growing.csv"):
            path.write_bytes(path.read_bytes() + b"2020-01-05,view,u9\n")
        return seen

    monkeypatch.setattr(Landing, "_see", see_while_it_grows)
    report = house.load()
    assert (report.loaded, report.rows) == (1, 5)
    assert "growing.csv is still being written" in report.warnings[0]
    monkeypatch.undo()
    assert house.load().rows == 11
    assert len(house.events()) == 16


def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_load(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.ingestion.loader import Loader

    path = house.write("growing.csv", dump(1, rows=10))
    load = Loader.load

    def load_while_it_grows(self: Loader, *arguments: Any, **options: Any) -> Any:
        loaded = load(self, *arguments, **options)
        path.write_bytes(path.read_bytes() + b"2020-01-05,view,u9\n")
        return loaded

    monkeypatch.setattr(Loader, "load", load_while_it_grows)
    assert house.load().loaded == 0
    monkeypatch.undo()
    assert house.load().rows == 11


def test_the_lake_waits_for_its_lock(house: House) -> None:
    house.write("a.csv", dump(1, rows=2))
    house.load()
    again = Lake(house.root / "lake")
    assert again.load(source(), data_dir=house.root).unchanged == 1
    again.close()
