"""``make ui``: the Dagster UI and the scheduler over one data directory."""

import os
import socket
import sys

from rich.console import Console

from orchestration.declarations import DeclarationError, Declarations
from orchestration.nightly import prepare_dagster
from orchestration.nights.lock import NightRunning, hold
from orchestration.nights.logs import is_json
from orchestration.settings import Settings

WORKSPACE_YAML = """\
load_from:
  - python_module:
      module_name: orchestration.definitions
      location_name: avila
"""


def main() -> int:
    """Replace this process by ``dagster dev``; gives 2 where ``avila.yml`` is wrong."""
    settings = Settings()
    console = Console(stderr=True)
    try:
        Declarations.load(settings.declarations)
    except DeclarationError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    host, port = settings.ui_host, settings.ui_port
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, port)) == 0:  # noqa: S104
            console.print(
                f"Port {port} is taken: stop what listens there, or choose another, as in "
                f"[bold]AVILA_UI_PORT={port + 1} make ui[/bold].",
                soft_wrap=True,
            )
            return 2
    prepare_dagster(settings)
    end_orphans(settings)
    console.print(f"The lineage: [bold]http://localhost:{port}/asset-groups[/bold]   (Ctrl-C stops)")
    workspace = settings.dagster_home / "workspace.yaml"
    workspace.write_text(WORKSPACE_YAML)
    # `dg dev` is not for a server, and every look of a sensor would be a line.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    arguments = ["-w", str(workspace), "-h", host, "-p", str(port), "--log-level", "warning"]
    if is_json(settings):
        arguments += ["--log-format", "json"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", *arguments]
    return os.execv(sys.executable, command)  # noqa: S606


def end_orphans(settings: Settings) -> list[str]:
    """Have runs on record as failed whose process is gone, as after a power cut; returns their ids.

    Dagster would wait for their end, and begin no other. Nothing is done while a process holds the warehouse.
    """
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    under_way = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    try:
        with hold(settings, what="make ui"), DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            orphans = instance.get_runs(RunsFilter(statuses=under_way))
            for run in orphans:
                instance.report_run_failed(run, "Its process ended without a word. The next run heals what it left.")
    except NightRunning:
        return []
    return [run.run_id for run in orphans]


if __name__ == "__main__":
    sys.exit(main())
