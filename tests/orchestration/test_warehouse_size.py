"""Night after night, the warehouse file is at most half as large again as what it holds."""

import logging
import random
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from orchestration.nights.compaction import compact
from orchestration.warehouse import STORAGE_VERSION
from tests.conftest import Load
from tests.dbt_project.histories import FUNNELS, Project, Warehouse

NIGHTS = 60
EVENTS = 400
START = datetime(2025, 1, 1)
NAMES = [*["view"] * 6, *["page_view"] * 6, "add_to_cart", "purchase"]


def dump(night: int, dice: random.Random) -> pd.DataFrame:
    """A day's events, some of them late by up to 40 days, some of users known by then; the first day has ten times."""
    rows = []
    for number in range(EVENTS * (1 if night else 10)):
        day, person = max(night - dice.choice([*[0] * 20, 1, 3, 40]), 0), int(dice.paretovariate(0.6)) % 400
        name = dice.choice(NAMES)
        rows.append(
            {
                "event_id": f"{night}-{number}",
                "event_name": name,
                "event_ts": START + timedelta(days=day, seconds=dice.randrange(86_400)),
                "user_id": f"u{person}" if dice.random() < 0.6 else None,
                "anonymous_id": f"d{person}",
                "page": f"/{dice.randrange(40)}",
                "platform": dice.choice(["ios", "web"]),
                "utm_source": dice.choice([None, "news", "ads"]),
                "revenue": round(dice.random() * 100, 2) if name == "purchase" else None,
            }
        )
    return pd.DataFrame(rows)


def live_bytes(warehouse: Path, scratch: Path) -> int:
    """How large a file is that is written anew with all that one holds."""
    scratch.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as old (read_only)")
        connection.execute(f"attach '{scratch}' as new (storage_version '{STORAGE_VERSION}')")
        connection.execute("copy from database old to new")
        connection.execute("checkpoint new")
    return scratch.stat().st_size


@pytest.mark.slow
def test_the_warehouse_is_at_most_half_as_large_again_as_what_it_holds(tmp_path: Path) -> None:
    dice, loads, ratios, copies = random.Random(7), [], [], 0
    warehouse = Warehouse(tmp_path / "data", Project.parse({"funnels": FUNNELS}))
    file = warehouse.settings.warehouse
    uncut = 0.0
    for night in range(NIGHTS):
        loads.append(Load(f"load {night}", night + 1, dump(night, dice)))
        warehouse.build(loads)
        before = file.stat().st_size
        copies += compact(warehouse.settings) is not None
        live = live_bytes(file, tmp_path / "live.duckdb")
        ratios.append(file.stat().st_size / live)
        uncut = max(uncut, before / live)
    logging.info("%d copies; at most %.2f times what is live, %.2f before a copy", copies, max(ratios), uncut)
    assert max(ratios) <= 1.5
    # Without copies it would not have held.
    assert uncut > 1.5
