"""The scheduler and the web server, as `make ui` starts them: a tick of the schedule ends in a publication."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from tests.end_to_end.test_what_is_said import COLUMNS, SHOP

DECLARED = f"""
schedule: {{nightly: "* * * * *"}}
sources:
  shop:
    path: landing/*.csv
    {COLUMNS}
"""
RUNS = """
{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }
"""
STATE = """
{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  assetNodes { assetKey { path } freshnessStatusInfo { freshnessStatus } }
  assetsOrError { ... on AssetConnection { nodes { key { path } assetMaterializations(limit: 1) { runId } } } }
}
"""


class Server:
    """What `make ui` runs, over one data directory."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> dict[str, Any]:
        body = json.dumps({"query": query}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def answers(self) -> bool:
        try:
            return urlopen(f"{self.url}/server_info", timeout=5).status == 200
        except (URLError, OSError):
            return False

    def runs(self) -> dict[str, dict[str, Any]]:
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}


def wait_for(what: Callable[[], object], process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.5)


@contextmanager
def served(root: Path, log: Path) -> Iterator[tuple[Server, Callable[[Callable[[], object], float], None]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "AVILA_DATA_DIR": str(root),
        "AVILA_UI_PORT": str(port),
        "AVILA_TUNING_SECONDS": "0",
        "HOME": str(root / "home"),
    }
    with log.open("ab") as output:
        # A session of its own: its processes, and no others, are ended together.
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration.ui"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(port)
    try:
        wait_for(server.answers, process, log, 240)
        yield server, lambda what, seconds: wait_for(what, process, log, seconds)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_tick_of_the_schedule_publishes_and_history_outlives_the_server(tmp_path: Path) -> None:
    (tmp_path / "avila.yml").write_text(DECLARED)
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.csv").write_text(SHOP)
    published, log = tmp_path / "published" / "marts.duckdb", tmp_path / "ui.log"

    def by_schedule(server: Server) -> list[str]:
        tag = {"key": "dagster/schedule_name", "value": "every_night"}
        return [run["runId"] for run in server.runs().values() if tag in run["tags"] and run["status"] == "SUCCESS"]

    def freshness(server: Server) -> dict[str, str]:
        nodes = server.ask(STATE)["assetNodes"]
        return {
            "/".join(node["assetKey"]["path"]): node["freshnessStatusInfo"]["freshnessStatus"]
            for node in nodes
            if node["freshnessStatusInfo"]
        }

    with served(tmp_path, log) as (server, wait):
        wait(lambda: by_schedule(server), 600)
        (first, *_) = sorted(by_schedule(server))
        # The daemon looks from time to time.
        wait(lambda: {freshness(server)[key] for key in ("published/marts", "marts/users")} == {"HEALTHY"}, 240)
        fresh, state = freshness(server), server.ask(STATE)
    with duckdb.connect(str(published), read_only=True) as marts:
        assert marts.execute("select count(*) from marts.marts.events").fetchall()[0][0] == SHOP.count("\n") - 1
        publications = marts.execute("select run_id from marts.ops.publications").fetchall()
    assert (first,) in publications
    assert "lake/shop" not in fresh
    daemons = state["instance"]["daemonHealth"]["allDaemonStatuses"]
    unwell = [daemon["daemonType"] for daemon in daemons if daemon["required"] and not daemon["healthy"]]
    assert unwell == []
    assert {"SCHEDULER", "SENSOR", "QUEUED_RUN_COORDINATOR", "FRESHNESS_DAEMON"} <= {
        daemon["daemonType"] for daemon in daemons if daemon["required"]
    }

    with served(tmp_path, log) as (server, wait):
        assert server.runs()[first]["status"] == "SUCCESS"
        nodes = server.ask(STATE)["assetsOrError"]["nodes"]
        built = {"/".join(node["key"]["path"]) for node in nodes if node["assetMaterializations"]}
        assert {"lake/shop", "marts/users", "published/marts"} <= built
        # What was under way when the server stopped does not stand in the way of what comes after.
        wait(lambda: len(by_schedule(server)) > 1, 600)
