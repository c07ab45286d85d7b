"""Publishes a warehouse in a process of its own, which dies on the way: run by `test_publish_under_load.py`.

Arguments: the data directory, the number of the night, and at which lasting call to die (0: at none).
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from orchestration.gates import Gate
from orchestration.publish import publish
from orchestration.settings import Settings
from orchestration.warehouse import connect

TABLES = ("events", "sessions", "users")
ROWS = 300
"""Of each table, every row holding the number of its night."""


def build(settings: Settings, night: int) -> None:
    """A warehouse whose every mart says which night it is."""
    with connect(settings) as connection:
        connection.execute(
            """
            create table if not exists ops.loads as select 'a' as load_id, 1 as load_seq, 'live' as status,
                timestamp '2025-01-01' as first_event_ts, timestamp '2025-01-02' as last_event_ts
            """
        )
        for table in TABLES:
            query = f"select {night} as night, range as number, hash(range + {night}) as noise from range({ROWS})"
            connection.execute(f"create or replace table marts.{table} as {query}")


def publish_night(settings: Settings, night: int) -> None:
    with connect(settings) as connection:
        pages = {"report.html": f"night {night}", "pictures/a.svg": str(night)}
        publish(
            connection,
            settings,
            run_id=f"night {night}",
            gates=[Gate(asset="marts/events", name="unique", passed=True)],
            pages=lambda *_: pages,
        )


def die_at(call: int) -> None:
    """Kill this process at the n-th audited call that opens, renames, links or removes a file."""
    calls = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if event in {"os.rename", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "open", "shutil.copyfile"}:
            if "published" not in str(arguments[0]) and "published" not in str(arguments[1:2]):
                return
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)

    if call:
        sys.addaudithook(watch)


if __name__ == "__main__":
    settings, night = Settings(data_dir=Path(sys.argv[1])), int(sys.argv[2])
    build(settings, night)
    die_at(int(sys.argv[3]))
    publish_night(settings, night)
