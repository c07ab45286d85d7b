"""``make sql``: DuckDB's own prompt on the published marts, read-only."""

import os
import sys
from pathlib import Path

from rich.console import Console

from orchestration.settings import Settings

BANNER = """\
.print marts: events sessions users user_days funnel_users funnel_steps
.print        cohort_retention cohort_retention_brackets cohort_retention_by_property
.print        rfm_scores rfm_transitions purchase_summaries lifecycle stickiness active_users path_transitions path_steps
.print        paths_to_key_event paths_from_key_event session_channels attribution conversion_paths
.print        churn_scores conversion_scores; the warehouse's own records are in schema ops.
.print Try:   from funnel_steps where entry_grain = 'all';
.print        describe sessions;     .tables     .quit
"""


def main() -> int:
    """Replace this process by the DuckDB prompt."""
    settings = Settings()
    marts = settings.published / "marts.duckdb"
    if not marts.exists():
        Console(stderr=True).print(
            f"Nothing is published at {marts} yet: run [bold]{settings.command('run')}[/bold] first.", soft_wrap=True
        )
        return 2
    shell = Path(sys.executable).parent / "duckdb"
    arguments = [str(shell), "-readonly", str(marts), "-cmd", "use marts.marts;"]
    if sys.stdin.isatty():
        for line in BANNER.splitlines():
            arguments += ["-cmd", line]
    return os.execv(shell, arguments)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
