"""``make run``: one night in this process, with progress, and a report of what it built."""

import gc
import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field, replace
from functools import partial

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterInstance,
    ExecuteInProcessResult,
    JsonMetadataValue,
)
from rich.console import Console

from orchestration.declarations import DeclarationError, Declarations
from orchestration.nights.cures import cure_of
from orchestration.nights.damage import suspicion
from orchestration.nights.lock import NightRunning, hold
from orchestration.nights.logs import Voice
from orchestration.nights.metrics import Summary
from orchestration.nights.morning import note_figures
from orchestration.nights.orphans import MAKE_RUN
from orchestration.nights.outcome import run_failure, step_failure
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.terminal import take_no_arguments, terminal
from orchestration.warehouse import DbtFailed

SIMULATED_DUMPS = "landing/shop/*.jsonl.gz"

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
# A warehouse has one writer; who comes second waits.
concurrency:
  runs:
    max_concurrent_runs: 1
"""

# This process alone writes a whole run's events, so it keeps the log's files open.
NIGHT_YAML = (
    DAGSTER_YAML
    + """\
event_log_storage:
  module: orchestration.nights.event_log
  class: OpenEventLog
  config:
    base_dir: {base_dir}
"""
)

WARNINGS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Night:
    """What a night left to be said.

    Attributes:
        failures: Why it was not published; none when it was.
        notices: What an analyst should look at all the same.
        failed_files: By source, how many dumps could not be loaded.
    """

    failures: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    failed_files: dict[str, int] = field(default_factory=dict)


def main() -> int:
    """Run the night and print its report.

    Returns:
        0 when the night was published, 1 when it was not, 2 when ``avila.yml`` or the environment is wrong, 3 when
        another process writes the warehouse.
    """
    # Most of what a night makes lives to its end, such as dbt's project; to look for cycles in it seldom finds any.
    gc.set_threshold(20_000, 20, 20)
    console, errors = terminal(width=None if sys.stdout.isatty() else 100), terminal(stderr=True)
    started = time.monotonic()
    settings = Settings.of_environment()
    voice = Voice(settings, errors)
    try:
        declarations = Declarations.load(settings.declarations)
        simulate_where_empty(settings, declarations, voice)
        with hold(settings, what="make run"):
            night = run_night(settings, voice)
            if night.failures and suspicion(settings).exists():
                voice.say("The warehouse file is broken: once more, from the lake.", level="warning", style="yellow")
                night = run_night(settings, voice)
    except NightRunning as error:
        voice.say(str(error))
        return 3
    except (DeclarationError, DbtFailed) as error:
        voice.say(str(error))
        # No run has come so far as to leave its figures.
        note_figures(settings, Summary(status="failed"), warn=partial(voice.say, level="warning"))
        return 2
    except Exception as error:
        # A step that fails is told by Dagster; where its own records are broken, or find no room, nobody is left to.
        if (cure := cure_of(settings, error)) is None:
            raise
        voice.say(cure)
        voice.say("The night did not come to its end; what is published is whole.", style="bold red")
        note_figures(settings, Summary(status="failed"), warn=partial(voice.say, level="warning"))
        return 1
    if night.failures:
        for notice in night.notices:
            voice.say(notice, level="warning", style="yellow")
        for failure in night.failures:
            voice.say(failure)
        voice.say("The night was not published; what was published before is untouched.", style="bold red")
        return 1
    from orchestration.report import print_report

    print_report(settings, console, declared=list(declarations.sources), failed_files=night.failed_files)
    print_notices(night.notices, console)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return 0


def simulate_where_empty(settings: Settings, declarations: Declarations, voice: Voice) -> None:
    """Fill the landing folder with a simulated shop's dumps, where the shop is declared and nothing has landed."""
    wanted = any(SIMULATED_DUMPS in source.path for source in declarations.sources.values())
    if wanted and not any(settings.landing.rglob("*.*")):
        voice.say("Nothing has landed yet: simulating a shop's dumps.", level="info", style="none")
        script = PROJECT_ROOT / "data" / "simulate.py"
        subprocess.run([sys.executable, str(script), "--out", str(settings.root)], check=True)  # noqa: S603


def prepare_dagster(settings: Settings) -> None:
    """Give Dagster a home inside the data directory; nothing is kept in the user's own."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    (settings.dagster_home / "dagster.yaml").write_text(DAGSTER_YAML)
    base_dir = json.dumps(str(settings.dagster_home / "history" / "runs"))
    (settings.dagster_home / "night.yaml").write_text(NIGHT_YAML.format(base_dir=base_dir))
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def print_notices(notices: list[str], console: Console) -> None:
    """Print what went by in the log, once more and in one place."""
    if notices:
        console.print("\nWorth a look", style="bold")
        for notice in notices:
            console.print(notice, style="yellow")


def run_night(settings: Settings, voice: Voice) -> Night:
    """Materialise everything and run every check; the voice speaks of this run from then on."""
    prepare_dagster(settings)
    warnings.filterwarnings("ignore", module="dagster")
    from orchestration.alerts.watch import watch
    from orchestration.definitions import defs
    from orchestration.house import open_house

    with DagsterInstance.from_config(str(settings.dagster_home), "night.yaml") as instance:
        nightly = defs.resolve_job_def("nightly")
        result = nightly.execute_in_process(instance=instance, raise_on_error=False, tags=MAKE_RUN)
        voice.run_id = result.run_id
        night = _told(result)
        told = watch(open_house(), instance, result.run_id)
        return replace(night, notices=[*night.notices, *([str(told)] if str(told) else [])])


def _told(result: ExecuteInProcessResult) -> Night:
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    errors = [_failed_check(check, failed) for check in failed if check.severity == AssetCheckSeverity.ERROR]
    notices = [_failed_check(check, failed) for check in failed if check.severity == AssetCheckSeverity.WARN]
    failed_files = {}
    for event in result.get_asset_materialization_events():
        loaded = event.step_materialization_data.materialization
        key, said = loaded.asset_key.path, loaded.metadata
        if key[0] != "lake":
            continue
        failed_files[key[1]] = int(str(said["dumps_failed"].value))
        if isinstance(said["warnings"], JsonMetadataValue):
            explained = [check.description or "" for check in failed if check.asset_key == loaded.asset_key]
            notices += _warnings("/".join(key), said["warnings"].value, explained)
    if result.success:
        return Night(notices=_each_once([*errors, *notices]), failed_files=failed_files)
    steps = [reason for event in result.all_events if event.is_step_failure if (reason := step_failure(event))]
    failures = [*errors, *steps] or [run_failure(result.all_events)]
    return Night(failures=_each_once(failures), notices=_each_once(notices), failed_files=failed_files)


def _warnings(asset: str, said: object, explained: list[str]) -> list[str]:
    """A load's warnings, without those that are the reason of a failed check."""
    texts = said if isinstance(said, list) else []
    texts = [f"{asset}: {text}" for text in texts if not any(text in reason for reason in explained)]
    left = len(texts) - WARNINGS_SHOWN
    return [*texts[:WARNINGS_SHOWN], *([f"{asset}: and {left:,} warnings more, in the log"] if left > 0 else [])]


def _failed_check(check: AssetCheckEvaluation, failed: list[AssetCheckEvaluation]) -> str:
    """A failed check in words; nothing where another check of the same asset says all that it says."""
    said = check.description or ""
    if any(
        said and other.asset_key == check.asset_key and said != other.description and said in (other.description or "")
        for other in failed
    ):
        return ""
    verdict = " failed." if check.severity == AssetCheckSeverity.ERROR else ":"
    return f"{check.asset_key.to_user_string()}: {check.check_name}{verdict} {said}".strip()


def _each_once(texts: list[str]) -> list[str]:
    """Texts without the lines that stood in one before: a gate's refusal repeats what its check said."""
    said: set[str] = set()
    kept = []
    for text in texts:
        lines = [line for line in text.splitlines() if line not in said]
        said.update(lines)
        if lines:
            kept.append("\n".join(lines))
    return kept


if __name__ == "__main__":
    take_no_arguments(__doc__)
    code = main()
    # Python would look for cycles in all that a night made before it ends, more than once; the process's end frees it.
    gc.freeze()
    sys.exit(code)
