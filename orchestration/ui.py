"""``make ui``: the Dagster UI and the scheduler over one data directory."""

import os
import sys

from rich.console import Console

from orchestration.declarations import DeclarationError, Declarations
from orchestration.nightly import prepare_dagster
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
    prepare_dagster(settings)
    console.print("The lineage: [bold]http://localhost:3000/asset-groups[/bold]   (Ctrl-C stops)")
    workspace = settings.dagster_home / "workspace.yaml"
    workspace.write_text(WORKSPACE_YAML)
    arguments = ["-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", "3000"]
    return os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
