"""Whole nights are killed at random points; the next run heals by itself, and readers see whole nights alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT

KILLS = 30
USERS = 40
CONFIG = """
sources:
  shop:
    path: landing/*.jsonl
    columns: {event_id: id, event_ts: ts, event_name: name, user_id: user, anonymous_id: device}
key_events: [purchase]
funnels:
  buying: {steps: [view, purchase]}
"""


def write_dump(root: Path, number: int, chance: random.Random) -> None:
    """A day's events; a few came in an earlier dump already, a few are from long before."""
    events = []
    for place in range(120):
        day = number if chance.random() < 0.9 else chance.randrange(number + 1)
        again = number > 0 and chance.random() < 0.05
        user = chance.randrange(USERS)
        moment = datetime(2025, 1, 1) + timedelta(days=day, seconds=chance.randrange(86400))
        event = {
            "id": f"{number - 1 if again else number}-{place}",
            "ts": moment.isoformat(),
            "name": chance.choice(["view", "view", "purchase"]),
            "user": f"u{user}" if chance.random() < 0.5 else None,
            "device": f"d{user}",
        }
        events.append(json.dumps(event))
    (root / "landing" / f"{number:03d}.jsonl").write_text("\n".join(events) + "\n")


def start(root: Path, module: str = "orchestration.nightly") -> subprocess.Popen[bytes]:
    with (root / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=PROJECT_ROOT,
            env={**os.environ, "AVILA_DATA_DIR": str(root), "HOME": str(root / "home"), "AVILA_TUNING_SECONDS": "2"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def run(root: Path, module: str = "orchestration.nightly") -> None:
    assert start(root, module).wait(timeout=600) == 0, (root / "log").read_text()[-3000:]


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """What readers see: every mart's rows, in an order of their own."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' order by 1"
        ).fetchall()
        connection.execute("use marts.marts")
        return {name: sorted(connection.execute(f"from {name}").fetchall(), key=repr) for (name,) in tables}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "landing").mkdir()
    (tmp_path / "avila.yml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_a_night_killed_anywhere_is_healed_by_the_next(root: Path) -> None:
    chance = random.Random(20251128)
    marts = root / "published" / "marts.duckdb"
    write_dump(root, 0, chance)
    run(root)
    began = time.monotonic()
    write_dump(root, 1, chance)
    run(root)
    seconds = time.monotonic() - began
    killed = 0
    for number in range(2, KILLS + 2):
        write_dump(root, number, chance)
        before = contents(marts)
        night = start(root)
        try:
            night.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(night.pid, signal.SIGKILL)
            night.wait()
            killed += 1
        seen = contents(marts)
        began = time.monotonic()
        run(root)
        seconds = 0.5 * seconds + 0.5 * (time.monotonic() - began)
        after = contents(marts)
        assert seen in (before, after), f"after kill {number}, readers see neither the night before nor this one"
        landed = {
            json.loads(line)["id"] for path in (root / "landing").iterdir() for line in path.read_text().splitlines()
        }
        assert sorted(row[0] for row in event_ids(marts)) == sorted(landed), f"after kill {number}"
    assert killed > KILLS // 2
    run(root, "orchestration.verify")


def event_ids(marts: Path) -> list[tuple[str]]:
    with duckdb.connect(str(marts), read_only=True) as connection:
        return connection.execute("select event_id from marts.marts.events").fetchall()
