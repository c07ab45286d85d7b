"""``make run``: one night in this process, with progress, and a report of what it built."""

import os
import subprocess
import sys
import time
import warnings

from dagster import AssetCheckSeverity, DagsterEvent, DagsterInstance
from rich.console import Console

from orchestration.declarations import DeclarationError, Declarations
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import DbtFailed

SIMULATED_DUMPS = "landing/shop/*.jsonl.gz"

DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
"""


def main() -> int:
    """Run the night and print its report.

    Returns:
        0 when the night was published, 1 when it was not, 2 when ``avila.yml`` or the environment is wrong.
    """
    console, errors = Console(width=None if sys.stdout.isatty() else 100), Console(stderr=True)
    started = time.monotonic()
    settings = Settings()
    try:
        declarations = Declarations.load(settings.declarations)
        simulate_where_empty(settings, declarations, errors)
        failures = run_night(settings)
    except (DeclarationError, DbtFailed) as error:
        errors.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        return 2
    if failures:
        for failure in failures:
            errors.print(failure, style="red", highlight=False, markup=False, soft_wrap=True)
        errors.print("The night was not published; what was published before is untouched.", style="bold red")
        return 1
    from orchestration.report import print_report

    print_report(settings, console)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return 0


def simulate_where_empty(settings: Settings, declarations: Declarations, console: Console) -> None:
    """Fill the landing folder with a simulated shop's dumps, where the shop is declared and nothing has landed."""
    wanted = any(SIMULATED_DUMPS in source.path for source in declarations.sources.values())
    if wanted and not any(settings.landing.rglob("*.*")):
        console.print("Nothing has landed yet: simulating a shop's dumps.")
        script = PROJECT_ROOT / "data" / "simulate.py"
        subprocess.run([sys.executable, str(script), "--out", str(settings.root)], check=True)  # noqa: S603


def prepare_dagster(settings: Settings) -> None:
    """Give Dagster a home inside the data directory; nothing is kept in the user's own."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    (settings.dagster_home / "dagster.yaml").write_text(DAGSTER_YAML)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)


def run_night(settings: Settings) -> list[str]:
    """Materialise everything and run every check; give the reasons of failed steps, none if all went well."""
    prepare_dagster(settings)
    warnings.filterwarnings("ignore", module="dagster")
    from orchestration.definitions import defs

    with DagsterInstance.get() as instance:
        result = defs.resolve_job_def("nightly").execute_in_process(instance=instance, raise_on_error=False)
    failed_checks = [
        f"{check.asset_key.to_user_string()}: {check.check_name} failed. {check.description or ''}".strip()
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == AssetCheckSeverity.ERROR
    ]
    failed_steps = [_reason(event) for event in result.all_events if event.is_step_failure]
    return [*failed_checks, *(reason for reason in failed_steps if reason)] if failed_steps else []


def _reason(event: DagsterEvent) -> str:
    """Why a step failed, in its own words; nothing for a failed check, which speaks for itself."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None:
        return failure.user_failure_data.description or ""
    error = failure.error
    if error is None or error.cls_name == "DagsterAssetCheckFailedError":
        return ""
    return f"{event.step_key}: {(error.cause or error).message.strip()}"


if __name__ == "__main__":
    sys.exit(main())
