"""What a finished night says in the terminal: rows, rejects, models, and three questions answered."""

import json
from collections.abc import Mapping, Sequence

import duckdb
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.settings import Settings

MEASURES = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}

QUERIES = (
    (
        "Which step of each funnel loses the most users?",
        """
        select funnel, step_name, users, round(100 * from_previous, 1) as percent_of_previous
        from funnel_steps
        where entry_grain = 'all' and breakdown = 'all' and step_number > 1
        qualify row_number() over (partition by funnel order by from_previous) = 1
        order by funnel
        """,
    ),
    (
        "How many users come back a week after their first visit?",
        """
        select sum(cohort_users) as users, sum(retained_users) as came_back,
            round(100.0 * sum(retained_users) / sum(cohort_users), 1) as percent
        from cohort_retention
        where grain = 'week' and period_number = 1 and is_complete
        """,
    ),
    (
        "Who is worth most, and how likely are they to stay?",
        """
        select rfm_segment, count(*) as users, sum(revenue) as revenue,
            round(1 - avg(churn_probability), 2) as stays
        from users
        where rfm_segment is not null
        group by rfm_segment
        order by revenue desc
        limit 5
        """,
    ),
)


def print_report(
    settings: Settings, console: Console, *, declared: Sequence[str], failed_files: Mapping[str, int]
) -> None:
    """Print what the published file holds.

    Args:
        settings: Where it lies.
        console: Where to print.
        declared: The declared sources.
        failed_files: By source, how many dumps could not be loaded this night.
    """
    path = settings.published / "marts.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("use marts.marts")
        console.print(_rows(connection), soft_wrap=False)
        console.print(_loads(connection, declared, failed_files), soft_wrap=False)
        models, verdicts = _models(connection)
        console.print(models, soft_wrap=False)
        for verdict in (*verdicts, _lifetime_values(connection)):
            console.print(f"  {verdict}")
        console.print(Text.assemble(("\nPublished", "bold"), f" {path}"))
        console.print(f"and as Parquet under {settings.published / 'parquet'}")
        console.print(f"A page to read or to mail: {settings.published / 'report.html'}")
        console.print(
            Text.assemble(
                *("Query it at any time with ", (settings.command("sql"), "bold")),
                *("; see the lineage with ", (settings.command("ui"), "bold"), ".\n"),
            )
        )
        for question, sql in QUERIES:
            console.print(question, style="bold")
            console.print(_dedent(sql), style="dim")
            console.print(_table(connection.execute(sql)), soft_wrap=False)


def _rows(connection: duckdb.DuckDBPyConnection) -> Table:
    tables = connection.execute(
        "select schema_name || '.' || table_name, estimated_size from duckdb_tables() "
        "where schema_name = 'marts' order by all"
    ).fetchall()
    grid = _grid("What the night built")
    grid.add_column("table")
    grid.add_column("rows", justify="right")
    for name, rows in tables:
        grid.add_row(name, f"{rows:,}")
    return grid


def _loads(connection: duckdb.DuckDBPyConnection, declared: Sequence[str], failed_files: Mapping[str, int]) -> Table:
    """What came of each source, also of one of which nothing came. A copy is a row whose event another row is."""
    return _table(
        connection.execute(
            """
            with declared as (
                select unnest($1::varchar[]) as source, unnest($2::bigint[]) as failed
            ),
            loaded as (
                select
                    source, count(*) as files, sum(rows)::bigint as rows, sum(filtered)::bigint as filtered,
                    sum(rejected)::bigint as rejected, min(first_event_ts) as first_ts, max(last_event_ts) as last_ts
                from ops.loads where status = 'live' group by source
            ),
            counted as (
                select source, count(*) as events from events group by source
            )
            select
                source, coalesce(files, 0) as files, coalesce(failed, 0) as failed, coalesce(rows, 0) as rows,
                coalesce(filtered, 0) as filtered, coalesce(rejected, 0) as rejected,
                coalesce(rows, 0) - coalesce(events, 0) as copies,
                strftime(first_ts, '%Y-%m-%d') as first_event, strftime(last_ts, '%Y-%m-%d') as last_event
            from declared full join loaded using (source) left join counted using (source)
            order by source
            """,
            [list(declared), [failed_files.get(source, 0) for source in declared]],
        ),
        title="What came in",
    )


def _models(connection: duckdb.DuckDBPyConnection) -> tuple[Table, list[str]]:
    """Test metrics of every estimator, and each model's verdict in a sentence."""
    rows = connection.execute(
        """
        select model, estimator, metrics, explanation from ops.model_versions
        qualify row_number() over (partition by model order by trained_at desc) = 1 order by model
        """
    ).fetchall()
    grid = _grid("Models, on outcomes later than any they learnt from")
    for heading in ("model", "estimator", *MEASURES.values()):
        grid.add_column(heading, justify="left" if heading in ("model", "estimator") else "right")
    verdicts = []
    for model, chosen, metrics, explanation in rows:
        verdicts.append(f"{model}: {explanation}")
        scores: dict[str, float] = json.loads(metrics)
        for estimator in dict.fromkeys(name.split(".")[0] for name in scores):
            cells = [f"{scores.get(f'{estimator}.{measure}', float('nan')):.3f}" for measure in MEASURES]
            grid.add_row(model, f"{estimator}{' (scores)' if estimator == chosen else ''}", *cells)
    return grid, verdicts


def _lifetime_values(connection: duckdb.DuckDBPyConnection) -> str:
    """What customers are expected to bring, or why that is not known, in a sentence."""
    rows = connection.execute(
        """
        select count(*), count(clv), sum(expected_purchases), sum(clv), any_value(horizon_days),
            mode(no_estimate_because)
        from clv
        """
    ).fetchall()
    customers, valued, purchases, value, days, reason = rows[0]
    if not valued:
        return f"clv: no values for {customers:,} customers: {reason or 'nobody has bought yet'}."
    return f"clv: {valued:,} customers are expected to buy {purchases:,.0f} times in {days} days, for {value:,.2f}."


def _grid(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)


def _table(result: duckdb.DuckDBPyConnection, title: str | None = None) -> Table:
    grid = _grid(title)
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
