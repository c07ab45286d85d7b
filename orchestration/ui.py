"""``make ui``: the Dagster UI and the scheduler over one data directory."""

import os
import signal
import socket
import sys

from orchestration.declarations import DeclarationError, Declarations
from orchestration.nightly import prepare_dagster
from orchestration.nights.cures import cure_of
from orchestration.nights.logs import is_json
from orchestration.nights.orphans import end_orphans
from orchestration.settings import CODE_LOCATION, Settings
from orchestration.terminal import take_no_arguments, terminal

WORKSPACE_YAML = f"""\
load_from:
  - python_module:
      module_name: orchestration.definitions
      location_name: {CODE_LOCATION}
"""


def main() -> int:
    """Replace this process by ``dagster dev``.

    Returns:
        1 where the data directory, or Dagster's records in it, cannot be used; 2 where ``avila.yml`` is wrong or the
        port is taken.
    """
    settings = Settings.of_environment()
    console = terminal(stderr=True)
    try:
        Declarations.load(settings.declarations)
    except DeclarationError as error:
        console.print(str(error), style="red")
        return 2
    host, port = settings.ui_host, settings.ui_port
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, port)) == 0:  # noqa: S104
            console.print(
                f"Port {port} is taken: stop what listens there, or choose another, as in "
                f"AVILA_UI_PORT={port + 1} make ui."
            )
            return 2
    try:
        open_records(settings)
    except Exception as error:
        # Dagster's own services would end with a traceback each.
        if (cure := cure_of(settings, error)) is None:
            raise
        console.print(cure, style="red")
        return 1
    console.print(f"The lineage: http://localhost:{port}/asset-groups   (Ctrl-C stops)")
    workspace = settings.dagster_home / "workspace.yaml"
    workspace.write_text(WORKSPACE_YAML)
    # `dg dev` is not for a server, and every look of a sensor would be a line.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    arguments = ["-w", str(workspace), "-h", host, "-p", str(port), "--log-level", "warning"]
    if is_json(settings):
        arguments += ["--log-format", "json"]
    # A job in a shell's background ignores SIGINT, and Dagster then ignores SIGTERM with it: nothing would end it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, *quiet, "-m", "dagster", "dev", *arguments]
    return os.execv(sys.executable, command)  # noqa: S606


def open_records(settings: Settings) -> None:
    """Give Dagster a home, and see that all of its records can be read.

    Raises:
        Exception: They cannot be.
    """
    prepare_dagster(settings)
    from dagster import DagsterInstance

    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        end_orphans(settings, instance)
        # The log of events is opened when it is first asked.
        instance.get_asset_keys(limit=1)


if __name__ == "__main__":
    take_no_arguments(__doc__)
    sys.exit(main())
