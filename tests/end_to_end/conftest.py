"""Nights run as a user runs them: a directory, an avila.yml, and the command behind ``make run``; without a network."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT
from tests.end_to_end.no_network import NoNetwork


@dataclass(frozen=True)
class Night:
    """A finished run."""

    root: Path
    code: int
    output: str
    errors: str
    asked_of_network: list[str]

    def marts(self) -> duckdb.DuckDBPyConnection:
        """The published file, read-only, with the marts on the search path."""
        connection = duckdb.connect(str(self.root / "published" / "marts.duckdb"), read_only=True)
        connection.execute("use marts.marts")
        return connection


RunNight = Callable[[Path], Night]


@pytest.fixture(scope="session")
def run_night(tmp_path_factory: pytest.TempPathFactory) -> RunNight:
    def run(root: Path) -> Night:
        network = NoNetwork(tmp_path_factory.mktemp("network"))
        # The search runs, for a few trials: what it finds is not asked here.
        said = {"AVILA_DATA_DIR": str(root), "HOME": str(root / "home"), "AVILA_TUNING_SECONDS": "1"}
        done = subprocess.run(
            network.command(sys.executable, "-m", "orchestration.nightly"),
            cwd=PROJECT_ROOT,
            env=network.environment({**os.environ, **said}),
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        return Night(root, done.returncode, done.stdout, done.stderr, network.asked_for())

    return run
