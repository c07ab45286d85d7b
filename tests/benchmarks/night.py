"""``make bench``: where the CPU seconds of a whole night go, on a simulated shop.

Three nights: the first, one with 400 new events, and one with nothing new. CPU seconds are those of the whole process
and its children, interpreter and all; medians of several nights, each from the same start.

A part's seconds are those spent in its functions, less those in parts within them. An import is its own part wherever
it happens, so what a library costs to load stands under imports and not with the step that happens to need it first.
"""

import argparse
import gzip
import importlib
import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from orchestration.settings import PROJECT_ROOT

NEW_EVENTS = 400
PARTS: dict[str, dict[str, list[str]]] = {
    "imports": {},
    "definitions": {"dagster.components": ["load_from_defs_folder"]},
    "ingest": {"orchestration.ingestion.lake": ["Lake.load", "Lake.publish_catalog"]},
    "dbt: parse": {"dbt.parser.manifest": ["parse_manifest"]},
    "dbt: build and test": {"orchestration.warehouse": ["run_dbt"]},
    "Great Expectations": {
        "ml.expectations": ["check_features", "check_scores"],
        "orchestration.dumps": ["measure", "check_dumps"],
    },
    "ML": {
        "orchestration.models": ["refresh_model"],
        "orchestration.model_checks": ["drift_of", "leak_proofs"],
        "orchestration.lifetime_value": ["refresh_clv"],
    },
    "pictures": {
        "orchestration.pictures.gallery": ["draw"],
        "orchestration.page": ["compose"],
        "ml.plots": ["render"],
    },
    "publish": {"orchestration.publish": ["publish"]},
    "report": {"orchestration.report": ["print_report"]},
    "Dagster": {"dagster._core.definitions.job_definition": ["JobDefinition.execute_in_process"]},
}
"""By part, its functions, by module. Dagster's are what is left of the run: its steps, events and small queries."""


class Timesheet:
    """CPU seconds by part.

    Attributes:
        seconds: Spent in each part, and not in one within it.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        # Until the night begins, Python starts and this file imports.
        self._doing = "imports"
        self._since = 0.0

    def note(self, part: str) -> str:
        """Begin a part; gives the one that it interrupts."""
        now = spent(resource.RUSAGE_SELF) + spent(resource.RUSAGE_CHILDREN)
        self.seconds[self._doing] += now - self._since
        interrupted, self._doing, self._since = self._doing, part, now
        return interrupted

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function whose time is the part's."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            interrupted = self.note(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.note(interrupted)

        return wrapper


def spent(whose: int) -> float:
    """CPU seconds so far, user and system."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def run_timed(out: Path) -> Any:
    """Run a night in this process and write its timesheet; gives the night's exit code.

    Functions are wrapped as soon as their module is imported, before anyone can have taken them from it.
    """
    sheet = Timesheet()
    bootstrap: Any = importlib._bootstrap  # type: ignore[attr-defined]
    find_and_load = bootstrap._find_and_load

    def load(name: str, import_: Callable[..., Any]) -> Any:
        interrupted = sheet.note("imports")
        try:
            module = find_and_load(name, import_)
            wrap(name)
            return module
        finally:
            sheet.note(interrupted)

    wrapped = set()

    def wrap(name: str) -> None:
        for part, modules in PARTS.items():
            if name in wrapped or name not in modules:
                continue
            wrapped.add(name)
            for path in modules[name]:
                *owners, function = path.split(".")
                owner = sys.modules[name]
                for step in owners:
                    owner = getattr(owner, step)
                nights.enter_context(patch.object(owner, function, sheet.timed(part, getattr(owner, function))))

    with ExitStack() as nights:
        nights.enter_context(patch.object(bootstrap, "_find_and_load", load))
        sheet.note("rest")
        try:
            runpy.run_module("orchestration.nightly", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        sheet.note("rest")
    out.write_text(json.dumps(sheet.seconds))
    return code


def night(root: Path) -> dict[str, float]:
    """CPU seconds of one night in a process of its own, by part and as ``all``."""
    with tempfile.NamedTemporaryFile() as sheet:
        before = spent(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.night", "--one", sheet.name],
            cwd=PROJECT_ROOT,
            env={**os.environ, "AVILA_DATA_DIR": str(root)},
            check=True,
            capture_output=True,
        )
        total = spent(resource.RUSAGE_CHILDREN) - before
        seconds: dict[str, float] = json.loads(Path(sheet.name).read_text())
    return {**seconds, "rest": total - sum(seconds.values()) + seconds["rest"], "all": total}


def simulate(root: Path, events: int) -> Path:
    """Dumps of a shop; gives the one of the last day, set apart."""
    script = str(PROJECT_ROOT / "data" / "simulate.py")
    subprocess.run(
        [sys.executable, script, "--out", str(root), "--events", str(events)], check=True, capture_output=True
    )
    shutil.copy(PROJECT_ROOT / "data" / "avila.yml", root)
    *_, last = sorted((root / "landing" / "shop").iterdir())
    return last.replace(root / last.name)


def main() -> None:
    """Print CPU seconds by part and night."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        sys.exit(run_timed(options.one))
    nights: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        start, root = Path(scratch) / "start", Path(scratch) / "shop"
        start.mkdir()
        last = simulate(start, options.events)
        for _ in range(options.repeats):
            shutil.copytree(start, root)
            nights["first"].append(night(root))
            with gzip.open(last) as dump, gzip.open(root / "landing" / "shop" / last.name, "w") as new:
                new.writelines(islice(dump, NEW_EVENTS))
            nights[f"{NEW_EVENTS} new events"].append(night(root))
            nights["nothing new"].append(night(root))
            shutil.rmtree(root)
    table = Table(title=f"A night after {options.events:,} events: CPU seconds", title_justify="left")
    table.add_column("part")
    for heading in nights:
        table.add_column(heading, justify="right")
    for part in [*PARTS, "rest", "all"]:
        cells = [f"{median(sheet.get(part, 0.0) for sheet in sheets):.1f}" for sheets in nights.values()]
        table.add_row(part, *cells, style="bold" if part == "all" else None)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
