"""What every test may use: a warehouse built from a handful of events."""

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pytest

from orchestration.declarations import Declarations
from orchestration.funnels import Funnel, funnel_variables
from orchestration.gates import Gates
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect, run_dbt

SHARED_DATA = PROJECT_ROOT.parent / "shared" / "data"


def pytest_collection_finish() -> None:
    """As a night does: what dbt and its like make in such numbers is hardly ever a cycle."""
    gc.set_threshold(20_000, 20, 20)
    gc.freeze()


def mostly_slow(every: Iterable[Any], *quick: Any) -> list[Any]:
    """A test's parameters, of which `make test` runs the quick ones and `make proofs` the others."""
    return [one if one in quick else pytest.param(one, marks=pytest.mark.slow) for one in every]


# The UK shop of the public data, as an analyst would declare it; {path} is where its dumps lie.
RETAIL = """
reporting_timezone: Europe/London
sources:
  retail:
    path: "{path}"
    timezone: Europe/London
    where: "CustomerID is not null"
    columns:
      event_ts: "strptime(InvoiceDate, '%Y-%m-%d %H:%M:%S')"
      user_id: "cast(cast(CustomerID as double) as bigint)"
      event_name: "'purchase'"
      item_id: StockCode
      country: Country
      revenue: "Quantity * UnitPrice"
"""

EVENT_COLUMNS = {
    "event_id": "varchar",
    "event_name": "varchar",
    "event_ts": "timestamp",
    "received_ts": "timestamp",
    "user_id": "varchar",
    "anonymous_id": "varchar",
    "source_session_id": "varchar",
    "page": "varchar",
    "referrer": "varchar",
    "utm_source": "varchar",
    "utm_medium": "varchar",
    "utm_campaign": "varchar",
    "platform": "varchar",
    "device": "varchar",
    "country": "varchar",
    "item_id": "varchar",
    "quantity": "decimal(18, 4)",
    "revenue": "decimal(18, 4)",
    "currency": "varchar",
    "properties": "varchar",
    "source": "varchar",
    "dump_file": "varchar",
    "dump_row": "bigint",
    "load_id": "varchar",
}


def cohorts(**said: Any) -> dict[str, Any]:
    """Cohorts as dbt reads them; what is not said, by default."""
    return Declarations.model_validate(
        {"sources": {"any": {"name": "any", "path": "any"}}, "cohorts": said}
    ).dbt_vars()["cohorts"]


VARIABLES: dict[str, Any] = {
    "reporting_timezone": "UTC",
    "sessions": {"timeout_minutes": 30},
    "key_events": ["purchase"],
    "page_view_events": ["page_view"],
    "funnels": [],
    "cohorts": cohorts(),
    "rfm": {"lookback_days": None},
    "churn": {"horizon_days": 30, "active_within_days": 90},
    "conversion": {"event": "purchase", "horizon_days": 7, "active_within_days": 90},
    "training": {"snapshots": 1_000_000},
    "clv": {"horizon_days": 90, "discount_per_year": 0.0},
    "paths": {"length": 5},
    "channels": {"own_sites": [], "rules": {}},
    "attribution": {"lookback_days": 30},
    "gates": Gates().model_dump(),
}


def funnel(
    name: str, steps: Sequence[str | dict[str, Any]], *, window: int, order: str = "ordered", **options: Any
) -> dict[str, Any]:
    """A funnel as dbt reads it; `window` in seconds, `options` as in avila.yml."""
    declared = Funnel.model_validate({"window_hours": window / 3600, "order": order, "steps": [*steps], **options})
    return funnel_variables({name: declared})[0]


@cache
def parsed(variables: str) -> Any:
    """The dbt project under some variables, as JSON; to read it takes longer than to build it."""
    with TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory))
        with connect(settings):
            pass
        return without_comments(run_dbt(["parse", "--no-write-json"], settings, json.loads(variables)))


def without_comments(project: Any) -> Any:
    """A parsed project that writes no comments on columns: they cost a tenth of a build and say nothing of its rows."""
    for node in project.nodes.values():
        if node.resource_type == "model":
            node.config.persist_docs = {}
    return project


BuildWarehouse = Callable[..., duckdb.DuckDBPyConnection]


@pytest.fixture(scope="module")
def build_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildWarehouse]:
    """Build models over a frame of events (missing canonical columns are null) and open the result."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def build(
        events: pd.DataFrame,
        variables: Mapping[str, Any] | None = None,
        *,
        select: str = "fqn:*",
    ) -> duckdb.DuckDBPyConnection:
        settings = Settings(data_dir=tmp_path_factory.mktemp("warehouse"))
        write_lake(settings, events)
        declared = {**VARIABLES, **(variables or {})}
        run_dbt(
            [
                *("build", "--select", *select.split()),
                *("--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"),
            ],
            settings,
            declared,
            parsed=parsed(json.dumps(declared)),
        )
        opened.append(duckdb.connect(str(settings.warehouse)))
        return opened[-1]

    yield build
    for connection in opened:
        connection.close()


@dataclass
class Load:
    """A file of events in the lake, as `ops.loads` has it."""

    load_id: str
    load_seq: int
    events: pd.DataFrame
    retired_seq: int | None = None


def write_lake(settings: Settings, events: pd.DataFrame) -> None:
    """Put events into a lake of one load, with ids and a source where the frame has none."""
    write_loads(settings, [Load("load", 1, events)])


def write_loads(settings: Settings, loads: Iterable[Load]) -> None:
    """Put loads into a lake, those that it has not yet, and tell the warehouse which there are."""
    settings.lake.mkdir(parents=True, exist_ok=True)
    with connect(settings) as connection:
        connection.execute(
            """
            create or replace table ops.loads (
                load_id varchar, load_seq bigint, retired_seq bigint, parquet_file varchar, rows bigint,
                status varchar, rejected bigint
            )
            """
        )
        connection.execute(
            """
            create table if not exists ops.rejects (
                load_id varchar, source varchar, file varchar, row_number bigint, raw_text varchar, reason varchar
            )
            """
        )
        for load in loads:
            path = settings.lake / f"{load.load_id}.parquet"
            if not path.exists():
                _write_parquet(connection, load, path)
            connection.execute(
                "insert into ops.loads values (?, ?, ?, ?, ?, ?, 0)",
                [
                    *(load.load_id, load.load_seq, load.retired_seq, path.name, len(load.events)),
                    "live" if load.retired_seq is None else "withdrawn",
                ],
            )


def _write_parquet(connection: duckdb.DuckDBPyConnection, load: Load, path: Path) -> None:
    frame = load.events.copy()
    frame["dump_row"] = range(1, len(frame) + 1)
    defaults = {"source": "test", "load_id": load.load_id, "dump_file": "dump"}
    for column, value in defaults.items():
        if column not in frame:
            frame[column] = value
    if "event_id" not in frame:
        frame["event_id"] = [f"e{row:09d}" for row in frame["dump_row"]]
    columns = ", ".join(
        f"cast({name if name in frame else 'null'} as {type_}) as {name}" for name, type_ in EVENT_COLUMNS.items()
    )
    connection.register("frame", frame)
    connection.execute(f"copy (select {columns} from frame) to '{path}' (format parquet)")
    connection.unregister("frame")
