"""What a finished night says in the terminal: rows, rejects, models, and three questions answered."""

import json

import duckdb
from rich.console import Console
from rich.table import Table

from orchestration.settings import Settings

QUERIES = (
    (
        "Which step of each funnel loses the most users?",
        """
        select funnel, step_name, users, round(100 * from_previous, 1) as percent_of_previous
        from marts.funnel_steps
        where entry_grain = 'all' and step_number > 1
        qualify row_number() over (partition by funnel order by from_previous) = 1
        order by funnel
        """,
    ),
    (
        "How many users come back a week after their first visit?",
        """
        select sum(cohort_users) as users, sum(retained_users) as came_back,
            round(100.0 * sum(retained_users) / sum(cohort_users), 1) as percent
        from marts.cohort_retention
        where grain = 'week' and period_number = 1 and is_complete
        """,
    ),
    (
        "Who is worth most, and how likely are they to stay?",
        """
        select rfm_segment, count(*) as users, sum(revenue) as revenue,
            round(1 - avg(churn_probability), 2) as stays
        from marts.users
        where rfm_segment is not null
        group by rfm_segment
        order by revenue desc
        limit 5
        """,
    ),
)


def print_report(settings: Settings, console: Console) -> None:
    """Print what the published file holds."""
    path = settings.published / "marts.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        console.print(_rows(connection))
        console.print(_loads(connection))
        console.print(_models(connection))
        console.print(f"[bold]Published[/bold] {path}, and as Parquet under {settings.published / 'parquet'}")
        console.print("Query it at any time with [bold]make sql[/bold]; see the lineage with [bold]make ui[/bold].\n")
        for question, sql in QUERIES:
            console.print(f"[bold]{question}[/bold]")
            console.print(_dedent(sql), style="dim", highlight=False)
            console.print(_table(connection.execute(sql)))


def _rows(connection: duckdb.DuckDBPyConnection) -> Table:
    tables = connection.execute(
        "select schema_name || '.' || table_name, estimated_size from duckdb_tables() "
        "where schema_name = 'marts' order by all"
    ).fetchall()
    grid = Table(title="What the night built", title_justify="left", show_edge=False)
    grid.add_column("table")
    grid.add_column("rows", justify="right")
    for name, rows in tables:
        grid.add_row(name, f"{rows:,}")
    return grid


def _loads(connection: duckdb.DuckDBPyConnection) -> Table:
    return _table(
        connection.execute(
            """
            select source, count(*) as files, sum(rows) as rows, sum(filtered) as filtered, sum(rejected) as rejected,
                min(first_event_ts) as first_event, max(last_event_ts) as last_event
            from ops.loads where status = 'live' group by source order by source
            """
        ),
        title="What came in",
    )


def _models(connection: duckdb.DuckDBPyConnection) -> Table:
    rows = connection.execute(
        """
        select model, verdict, version, metrics, explanation from ops.model_versions
        qualify row_number() over (partition by model order by trained_at desc) = 1 order by model
        """
    ).fetchall()
    grid = Table(title="Models, on outcomes later than any they learnt from", title_justify="left", show_edge=False)
    for column in ("model", "estimator", "ROC-AUC", "PR-AUC", "log loss", "calibration error"):
        grid.add_column(column, justify="left" if column in ("model", "estimator") else "right")
    for model, verdict, version, metrics, explanation in rows:
        scores: dict[str, float] = json.loads(metrics)
        estimators = list(dict.fromkeys(name.split(".")[0] for name in scores))
        for estimator in estimators:
            cells = [
                f"{scores.get(f'{estimator}.{measure}', float('nan')):.3f}"
                for measure in ("roc_auc", "pr_auc", "log_loss", "calibration_error")
            ]
            grid.add_row(model, estimator, *cells)
        grid.add_row(
            model, f"[dim]{explanation} ({verdict}, {version})[/dim]" if not estimators else "", end_section=True
        )
    return grid


def _table(result: duckdb.DuckDBPyConnection, title: str | None = None) -> Table:
    grid = Table(title=title, title_justify="left", show_edge=False)
    for name, kind, *_ in result.description or []:
        grid.add_column(name, justify="left" if str(kind) in ("VARCHAR", "STRING") else "right")
    for row in result.fetchall():
        grid.add_row(
            *("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in row)
        )
    return grid


def _dedent(sql: str) -> str:
    lines = sql.strip("\n").rstrip().splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join("  " + line[margin:] for line in lines)
