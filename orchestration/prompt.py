"""``make sql``: DuckDB's own prompt on the published marts, read-only, with some queries to begin with."""

import os
import sys
from pathlib import Path

from orchestration.settings import DBT_PROJECT_DIR, Settings
from orchestration.terminal import take_no_arguments, terminal

TABLES = """\
marts: events sessions users user_days funnel_users funnel_steps
       cohort_retention cohort_retention_brackets cohort_retention_by_property
       rfm_scores rfm_transitions purchase_summaries lifecycle stickiness active_users
       path_transitions path_steps
       paths_to_key_event paths_from_key_event session_channels attribution conversion_paths
       churn_scores conversion_scores clv score_history score_performance
       the warehouse's own records are in schema ops."""


def main() -> int:
    """Replace this process by the DuckDB prompt."""
    settings = Settings.of_environment()
    marts = settings.published / "marts.duckdb"
    if not marts.exists():
        terminal(stderr=True).print(f"Nothing is published at {marts} yet: run {settings.command('run')} first.")
        return 2
    shell = Path(sys.executable).parent / "duckdb"
    arguments = [str(shell), "-readonly", str(marts), "-cmd", "use marts.marts;"]
    for name, sql in queries().items():
        arguments += ["-cmd", f"create temp view {name} as {sql};"]
    if sys.stdin.isatty():
        for line in banner().splitlines():
            arguments += ["-cmd", f'.print "{line}"']
    return os.execv(shell, arguments)  # noqa: S606


def queries() -> dict[str, str]:
    """What an analyst begins with: SQL over the marts by name, each under a comment with the question it answers."""
    return {
        path.stem: path.read_text(encoding="utf-8") for path in sorted((DBT_PROJECT_DIR / "analyses").glob("*.sql"))
    }


def banner() -> str:
    """The tables, and the queries with their questions."""
    asked = {f"from {name};": sql.partition("\n")[0].removeprefix("-- ") for name, sql in queries().items()}
    lines = [f"{query:<27}{question}" for query, question in asked.items()]
    return "\n".join([TABLES, "", *lines, "", "describe sessions;   .tables   .quit"])


if __name__ == "__main__":
    take_no_arguments(__doc__)
    sys.exit(main())
