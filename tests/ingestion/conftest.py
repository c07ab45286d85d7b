"""A landing directory, a lake, and what came of loading the one into the other."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from orchestration.declarations import PLACEHOLDER_IDS, Declarations
from orchestration.ingestion import inspection
from orchestration.ingestion.lake import Lake, LoadReport
from orchestration.ingestion.loader import Loaded, Loader, connect
from orchestration.ingestion.mappings import Mapping
from orchestration.ingestion.sources import AMOUNT_COLUMNS, MAPPABLE_COLUMNS, TIME_COLUMNS, Source

Row = dict[str, Any]
LoadPreset = Callable[..., list[Row]]

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
        shape = inspection.inspect(path, declared, mapping.wanted)
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


@pytest.fixture
def load(tmp_path: Path) -> LoadPreset:
    """Load files through a preset, and give the lake's events in the order of files and rows."""

    def load(name: str, *paths: Path | str, rejected: int = 0, **declared: Any) -> list[Row]:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        sources = {"dump": {"path": list(map(str, paths)), "preset": name, **declared}}
        (root / "avila.yml").write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
        lake = Lake(root / "lake")
        source = Declarations.load(root / "avila.yml").sources["dump"]
        report = lake.load(source, data_dir=root, memory_limit="1GB")
        files = [str(lake.root / entry.parquet_file) for entry in lake.loads() if entry.parquet_file]
        lake.close()
        assert not report.failures
        assert report.rejected == rejected
        with duckdb.connect() as connection:
            found = connection.execute(
                "select * from read_parquet($1, hive_partitioning = false) order by dump_file, dump_row", [files]
            )
            names = [column[0] for column in found.description]
            events = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        for event in events:
            event["properties"] = json.loads(event["properties"])
        assert len(events) == report.rows
        return events

    return load


def canonical(row: Row) -> Row:
    """A row's canonical columns, as the lake has them."""
    filled = {column: value for column, value in row.items() if column in MAPPABLE_COLUMNS and value is not None}
    for column in TIME_COLUMNS:
        if column in filled:
            filled[column] = filled[column].replace(tzinfo=None)
    for column in AMOUNT_COLUMNS:
        if column in filled:
            filled[column] = Decimal(str(filled[column])).quantize(Decimal("0.0001"))
    return filled


def without(row: Row, *columns: str) -> Row:
    return {column: value for column, value in row.items() if column not in columns}
