"""Dumps through the lake in random batches, some changed, withdrawn and brought back; and builds that are killed."""

import gzip
import random
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from data.simulate import Shop, simulate
from orchestration.declarations import Declarations
from orchestration.ingestion.lake import Lake
from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse import connect
from tests.conftest import RETAIL, SHARED_DATA
from tests.dbt_project.histories import Project, Warehouse

FUNNELS = """
funnels:
  again: {window_hours: 720, steps: [purchase, {name: large, event: purchase, where: "revenue > 100"}]}
"""


@cache
def project(declarations: Path) -> Project:
    return Project.parse(Declarations.load(declarations).dbt_vars())


class Shelf:
    """A warehouse whose dumps lie beside its landing directory until they arrive."""

    def __init__(self, root: Path, declarations: Path) -> None:
        self.root = root
        self.landing = root / "landing"
        self.landing.mkdir(parents=True, exist_ok=True)
        self.sources = Declarations.load(declarations).sources
        self.project = project(declarations)
        self.warehouse = Warehouse(root, self.project)

    def load(self) -> None:
        lake = Lake(self.root / "lake")
        try:
            for source in self.sources.values():
                assert not lake.load(source, data_dir=self.root, memory_limit="1GB").failures
            with connect(self.warehouse.settings) as connection:
                query = "select coalesce(min(built_seq), 0) from increments.built_models"
                lake.prune(connection.execute(query).fetchall()[0][0])
                lake.publish_catalog(connection)
        finally:
            lake.close()

    def differences(self, scratch: Path) -> list[str]:
        """From a full rebuild of the same lake."""
        scratch.mkdir()
        (scratch / "lake").symlink_to(self.root / "lake")
        full = Warehouse(scratch, self.project)
        lake = Lake(self.root / "lake")
        with connect(full.settings) as connection:
            lake.publish_catalog(connection)
        lake.close()
        full.build(None)
        return self.warehouse.differences(full)


def simulated(root: Path, *, seed: int, events: int, days: int) -> tuple[Shelf, list[Path]]:
    simulate(Shop(events=events, days=days, seed=seed), root / "made")
    shelf = Shelf(root / "house", PROJECT_ROOT / "data" / "avila.yml")
    (shelf.landing / "shop").mkdir()
    return shelf, sorted((root / "made" / "landing" / "shop").iterdir())


def batches(dumps: list[Path], number: int, chance: random.Random) -> list[list[Path]]:
    placed: list[list[Path]] = [[] for _ in range(number)]
    for dump in dumps:
        chance.choice(placed).append(dump)
    return placed


def cut(dump: Path) -> None:
    """The dump's first half: what a changed file may look like. A few lines may lack what a dump must have."""
    lines = gzip.decompress(dump.read_bytes()).splitlines(keepends=True)
    dump.write_bytes(gzip.compress(b"".join(lines[: max(len(lines) // 2, 20)])))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_simulated_shops(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    shelf, dumps = simulated(tmp_path, seed=seed, events=6_000, days=150)
    here = shelf.landing / "shop"
    away = None
    for batch in batches(dumps, 4, chance):
        if away:
            away.rename(here / away.name)
        arrived = sorted(here.iterdir())
        if len(arrived) > 1:
            changed, gone = chance.sample(arrived, 2)
            cut(changed)
            away = gone.rename(tmp_path / gone.name)
        for dump in batch:
            dump.rename(here / dump.name)
        shelf.load()
        shelf.warehouse.build(None)
    assert shelf.differences(tmp_path / "full") == []


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the public data sets are not there")
def test_a_year_of_real_purchases_in_random_order(tmp_path: Path) -> None:
    declarations = tmp_path / "avila.yml"
    declarations.write_text(RETAIL.replace("{path}", "landing/*.csv") + FUNNELS)
    shelf = Shelf(tmp_path / "house", declarations)
    days = sorted((SHARED_DATA / "uk_online_retail" / "by-day").glob("*.csv"))
    assert len(days) == 305
    for batch in batches(days, 12, random.Random(305)):
        for day in batch:
            (shelf.landing / day.name).symlink_to(day)
        shelf.load()
        shelf.warehouse.build(None)
    assert shelf.differences(tmp_path / "full") == []


BUILD = """
import sys
from pathlib import Path
from tests.dbt_project.histories import Warehouse
from tests.dbt_project.test_dumps_in_batches import project

warehouse = Warehouse(Path(sys.argv[1]), project(Path(sys.argv[2])))
print("building", flush=True)
warehouse.build(None)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_builds_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    shelf, dumps = simulated(tmp_path, seed=seed, events=6_000, days=90)
    killed = 0
    for batch in batches(dumps, 6, chance):
        for dump in batch:
            dump.rename(shelf.landing / "shop" / dump.name)
        shelf.load()
        command = [sys.executable, "-c", BUILD, str(shelf.root), str(PROJECT_ROOT / "data" / "avila.yml")]
        with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "building\n"
            time.sleep(chance.uniform(0.2, 4.0))
            child.kill()
        killed += child.returncode == -signal.SIGKILL
    shelf.warehouse.build(None)
    assert killed > 1
    assert shelf.differences(tmp_path / "full") == []
