"""A landing directory, a lake, and what came of loading the one into the other."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from orchestration.declarations import PLACEHOLDER_IDS
from orchestration.ingestion import shapes
from orchestration.ingestion.lake import Lake, LoadReport
from orchestration.ingestion.loader import Loaded, Loader, connect
from orchestration.ingestion.mappings import Mapping
from orchestration.ingestion.sources import Source

COLUMNS = {"event_ts": "ts", "event_name": "ev", "user_id": "u"}
ROW = {"ts": "2020-01-01", "ev": "v", "u": "u"}


def source(**options: Any) -> Source:
    """A source that reads `ts`, `ev` and `u` from everything under `landing/`, unless told otherwise."""
    defaults = {"name": "web", "path": ("landing/*",), "columns": COLUMNS, "placeholder_ids": PLACEHOLDER_IDS}
    return Source(**{**defaults, **options})


def rows_of(*files: Path) -> list[dict[str, Any]]:
    """The rows of some Parquet files, in the files' order: read by a second library than wrote them."""
    return [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]


@dataclass
class House:
    """A data directory: write dumps, load them, and look at the lake."""

    root: Path
    opened: list[Lake] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        if not self.opened:
            self.opened.append(Lake(self.root / "lake"))
        return self.opened[-1]

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.root / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, declared: Source | None = None, **options: Any) -> LoadReport:
        return self.lake.load(declared or source(**options), data_dir=self.root, memory_limit="1GB", threads=2)

    def events(self, **options: Any) -> list[dict[str, Any]]:
        """The events of live loads, by file and row."""
        live = [load.parquet_file for load in self.lake.loads(**options) if load.status == "live"]
        rows = rows_of(*(self.root / "lake" / file for file in live if file))
        return sorted(rows, key=lambda row: (row["source"], row["dump_file"], row["dump_row"]))

    def rejects(self) -> list[dict[str, Any]]:
        """The rejects of live loads, by file and row."""
        live = [load.rejects_file for load in self.lake.loads() if load.status == "live"]
        rows = rows_of(*(self.root / "lake" / file for file in live if file))
        return sorted(rows, key=lambda row: (row["file"], row["row_number"]))

    def files(self) -> set[str]:
        """Every Parquet file there is, and whatever else lies about."""
        lake = self.root / "lake"
        found = (path.relative_to(lake).as_posix() for path in lake.rglob("*") if path.is_file())
        return {name for name in found if not name.startswith(("catalog.sqlite", ".lock"))}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    for lake in made.opened:
        lake.close()


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    loaded: Loaded
    events: list[dict[str, Any]]
    rejects: list[dict[str, Any]]

    @property
    def reasons(self) -> list[str]:
        return [reject["reason"] for reject in self.rejects]

    @property
    def accounted(self) -> int:
        return self.loaded.rows + self.loaded.filtered + self.loaded.rejected


class Bench:
    """Loads one file after the other on one connection: for tests that need many small files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.connection = connect(memory_limit="1GB", threads=1, spill=root / "spill")
        self._mappings: dict[str, Mapping] = {}

    def load(self, name: str, content: bytes | str, **options: Any) -> Outcome:
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        declared = source(**options)
        mapping = self._mappings.setdefault(declared.model_dump_json(), Mapping(declared, self.connection))
        shape = shapes.inspect(path, declared, mapping.wanted)
        target = self.root / "out.parquet"
        rejects = target.with_suffix(".rejects")
        rejects.unlink(missing_ok=True)
        loaded = Loader(mapping, self.connection).load(path, shape, file=name, load_id="load", target=target)
        return Outcome(
            loaded=loaded,
            events=rows_of(target) if loaded.rows else [],
            rejects=rows_of(rejects) if rejects.exists() else [],
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("bench"))
    yield made
    made.connection.close()
