"""Nights run as a user runs them: a directory, an avila.yml, and the command behind ``make run``."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import PROJECT_ROOT


@dataclass(frozen=True)
class Night:
    """A finished run."""

    root: Path
    code: int
    output: str
    errors: str

    def marts(self) -> duckdb.DuckDBPyConnection:
        """The published file, read-only, with the marts on the search path."""
        connection = duckdb.connect(str(self.root / "published" / "marts.duckdb"), read_only=True)
        connection.execute("use marts.marts")
        return connection


RunNight = Callable[[Path], Night]


@pytest.fixture(scope="session")
def run_night() -> RunNight:
    def run(root: Path) -> Night:
        done = subprocess.run(
            [sys.executable, "-m", "orchestration.nightly"],
            cwd=PROJECT_ROOT,
            # The search runs, for a few trials: what it finds is not asked here.
            env={**os.environ, "AVILA_DATA_DIR": str(root), "HOME": str(root / "home"), "AVILA_TUNING_SECONDS": "5"},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        return Night(root, done.returncode, done.stdout, done.stderr)

    return run
