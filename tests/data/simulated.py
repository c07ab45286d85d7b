"""A simulated shop, and the script that makes it."""

import gzip
import importlib.util
import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

SCRIPT = Path(__file__).parents[2] / "data" / "simulate.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


simulate = load_script()
Shop = simulate.Shop


@dataclass(frozen=True)
class Simulated:
    """A simulated shop, read back by the standard library's gzip and json alone."""

    shop: Any
    summary: Any
    lines: pd.DataFrame  # every line: file, raw, well_formed
    events: pd.DataFrame  # each distinct well-formed event
    truth: pd.DataFrame
    dumps: list[Path]


def run(shop: Any, out: Path) -> Simulated:
    summary = simulate.simulate(shop, out)
    dumps = sorted((out / "landing" / "shop").iterdir())
    lines, parsed = [], []
    for dump in dumps:
        for raw in gzip.decompress(dump.read_bytes()).decode().splitlines():
            event = parse(raw)
            lines.append((dump.name, raw, event is not None))
            if event is not None:
                parsed.append(event)
    frame = pd.DataFrame(parsed)
    for column in ("timestamp", "received_at"):
        frame[column] = pd.to_datetime(frame[column], format="%Y-%m-%dT%H:%M:%S.%fZ").astype("M8[ms]")
    return Simulated(
        shop=shop,
        summary=summary,
        lines=pd.DataFrame(lines, columns=["file", "raw", "well_formed"]),
        events=frame.sort_values("received_at").drop_duplicates("event_id").sort_values("timestamp"),
        truth=pq.read_table(out / "truth" / "users.parquet").to_pandas(),
        dumps=dumps,
    )


def parse(raw: str) -> dict[str, Any] | None:
    """The event of a line; None if it is no JSON object or has no possible time."""
    try:
        event: dict[str, Any] = json.loads(raw)
        datetime.fromisoformat(event["timestamp"])
    except (ValueError, KeyError):
        return None
    return event


def z(observed: float, expected: float, variance: float) -> float:
    return float((observed - expected) / np.sqrt(variance))
