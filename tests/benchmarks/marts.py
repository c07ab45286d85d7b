"""What each mart's full build costs, beside the same work on ClickHouse, Polars and pandas, each by its own idioms.

All begin with the same identified events, Ávila in the warehouse and the others in one Parquet file that holds no
column beyond those they read, and their answers are compared, row for row. A mart of Ávila costs what it and all models
between it and the events take, as if it were the only one; in a night they share those. The others run each mart in a
process of its own; what starting Python and importing them costs is taken off. CPU seconds of one run.

The others have it easier: they know which channels occur and leave simultaneous events to chance. They make the columns
that are compared; ``users`` has segments and lifecycles besides, ``user_snapshots`` more features.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect, run_dbt
from tests.benchmarks.increments import ModelCosts, Shop, variables

CONTENDERS = ("chdb", "polars", "pandas")
JOURNEYS = ("funnel_users", "path_transitions", "attribution")

COLUMNS = (
    "user_key, earlier_user_key, identified_at, event_ts, event_name, page, referrer, utm_source, utm_medium, revenue"
)


@dataclass(frozen=True)
class Question:
    """What of a mart is compared.

    Attributes:
        keys: Columns that tell its rows apart.
        values: The others that are compared.
        where: Which rows; the others leave out what is 0.
        within: How far numbers may differ, relatively. Credits are dealt in millionths, their revenue in 1/10,000.
        made_by: Contenders that have an answer to only some values, and those.
    """

    keys: str
    values: str
    where: str = "true"
    within: float = 1e-9
    made_by: tuple[tuple[str, str], ...] = ()


WINDOWED = ", ".join(
    f"{measure}_{window}"
    for window in ("7d", "30d", "90d", "lifetime")
    for measure in ("active_days", "events", "key_events", "revenue")
)
QUESTIONS = {
    "sessions": Question(
        "user_key, started_at", "ended_at, events, page_views, key_events, revenue, entry_page, exit_page"
    ),
    "user_days": Question("user_key, activity_date", "sessions, events, page_views, key_events, revenue"),
    "users": Question("user_key", "first_seen_at, last_seen_at, sessions, events, key_events, revenue"),
    "funnel_users": Question(
        "user_key",
        "steps_completed, entered_at, list_max(step_times) as last_step_at",
        # windowFunnel tells the depth alone.
        made_by=(("chdb", "steps_completed"),),
    ),
    "cohort_retention": Question(
        "grain, cohort_period, period_number", "retained_users, revenue", where="retained_users > 0"
    ),
    "rfm_scores": Question("as_of_date, user_key", "recency_days, frequency, monetary, r_score, f_score, m_score"),
    "lifecycle": Question("grain, period, state", "users", where="users > 0"),
    "stickiness": Question("grain, period, active_days", "users"),
    "path_transitions": Question("from_step, to_step", "transitions, users, median_seconds_between"),
    "attribution": Question("model, channel, activity_date", "key_events, revenue", within=1e-3),
    "user_snapshots": Question(
        "user_key, as_of", f"recency_days, tenure_days, days_since_key_event, page_views_30d, {WINDOWED}"
    ),
}


def cpu_seconds(whose: int = resource.RUSAGE_SELF) -> float:
    """CPU so far, user and system."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def build(root: Path) -> None:
    """Build the marts and what they are made from, and note the CPU seconds of each."""
    settings, costs = Settings(data_dir=root), ModelCosts()
    with connect(settings):
        pass
    # The others know no sample of the past.
    said = {**variables(), "training": {"snapshots": 10**9}}
    run_dbt(["parse"], settings, said)
    run_dbt(["run", "--select", *(f"+{mart}" for mart in QUESTIONS)], settings, said, costs)
    costs.write(root)


def cost_of_marts(root: Path) -> dict[str, dict[str, float]]:
    """By mart, the CPU seconds of each model it is made from, itself included, from the events on."""
    costs: dict[str, float] = json.loads((root / "costs.json").read_text())
    nodes = json.loads((root / "warehouse" / "dbt" / "manifest.json").read_text())["nodes"]
    parents = {
        node["name"]: {key.split(".")[-1] for key in node["depends_on"]["nodes"] if key.startswith("model.")}
        for node in nodes.values()
        if node["resource_type"] == "model"
    }

    def made_from(name: str) -> set[str]:
        """The models that a mart needs, itself included, from the events on."""
        if name == "int_events_identified" or not parents[name]:
            return set()
        between = set().union(*(made_from(parent) for parent in parents[name]))
        return between | {name} if between or "int_events_identified" in parents[name] else set()

    needed = {mart: made_from(mart) for mart in QUESTIONS}
    return {mart: {model: costs[model] for model in models} for mart, models in needed.items()}


def export(root: Path) -> Path:
    """The identified events as the others read them."""
    path = root / "events.parquet"
    with connect(Settings(data_dir=root)) as connection:
        connection.execute(
            f"copy (select {COLUMNS} from intermediate.int_events_identified) to '{path}' (compression zstd)"
        )
    return path


def differing_rows(root: Path, name: str, mart: str, out: Path) -> int:
    """How many rows of one mart a contender has not, or has otherwise."""
    question = QUESTIONS[mart]
    values = dict(question.made_by).get(name, question.values)
    columns = [value.split(" as ")[-1] for value in values.split(", ")]
    keys = question.keys.split(", ")
    schema = "features" if mart == "user_snapshots" else "marts"
    same = " and ".join(f"ours.{key} = cast(theirs.{key} as {{{key}}})" for key in keys)
    with connect(Settings(data_dir=root)) as connection:
        kinds = dict(
            connection.execute(
                f"select column_name, column_type from (describe select {question.keys}, {values} from {schema}.{mart})"
            ).fetchall()
        )
        unlike = [
            f"abs(cast(ours.{column} as double) - cast(theirs.{column} as double))"
            f" > 1e-9 + {question.within} * abs(cast(ours.{column} as double))"
            f" or (ours.{column} is null) != (theirs.{column} is null)"
            if kinds[column] not in ("VARCHAR", "TIMESTAMP")
            else f"ours.{column} is distinct from cast(theirs.{column} as {kinds[column]})"
            for column in columns
        ]
        (count,) = connection.execute(
            f"""
            select count(*)
            from (select {question.keys}, {values} from {schema}.{mart} where {question.where}) as ours
            full outer join read_parquet('{out}') as theirs on {same.format(**kinds)}
            where ours.{keys[0]} is null or theirs.{keys[0]} is null or {" or ".join(unlike)}
            """
        ).fetchall()[0]
    return int(count)


def module_of(contender: str, mart: str = "attribution") -> str:
    """Where a contender makes a mart; by default, where it imports all that it has."""
    return f"tests.benchmarks.contenders.{'journeys_' if mart in JOURNEYS else ''}in_{contender}"


def child_cpu_seconds(*arguments: str) -> float:
    """CPU seconds of one child process."""
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=PROJECT_ROOT, check=True)
    return cpu_seconds(resource.RUSAGE_CHILDREN) - before


def run(root: Path, marts: list[str]) -> list[Table]:
    """Build the warehouse and let everyone make every mart; gives the tables of costs."""
    child_cpu_seconds("-m", "tests.benchmarks.marts", "--build", str(root))
    costs, events = cost_of_marts(root), export(root)
    imports = {name: f"import tests.benchmarks.marts, {module_of(name)}" for name in CONTENDERS}
    starting = {name: child_cpu_seconds("-c", statement) for name, statement in imports.items()}
    table = Table(title="Full builds: CPU seconds, and how many times Ávila's", title_justify="left")
    table.add_column("mart")
    for heading in ("rows", "Ávila", "its own model", *CONTENDERS):
        table.add_column(heading, justify="right")
    totals = dict.fromkeys(CONTENDERS, 0.0)
    for mart in marts:
        ours, cells = sum(costs[mart].values()), []
        for name in CONTENDERS:
            out = root / f"{mart}.{name}.parquet"
            spent = child_cpu_seconds("-m", "tests.benchmarks.marts", "--make", name, mart, str(events), str(out))
            spent = max(spent - starting[name], 0.001)
            totals[name] += spent
            wrong = differing_rows(root, name, mart, out)
            print(f"  {spent:7.1f} s  {mart} by {name}", file=sys.stderr)  # noqa: T201
            cells.append(f"{spent:.1f} ({spent / ours:.2f})" + (f" {wrong:,} rows differ" if wrong else ""))
            out.unlink()
        schema = "features" if mart == "user_snapshots" else "marts"
        with connect(Settings(data_dir=root)) as connection:
            (rows,) = connection.execute(f"select count(*) from {schema}.{mart}").fetchall()[0]
        table.add_row(mart, f"{rows:,}", f"{ours:.1f}", f"{costs[mart][mart]:.1f}", *cells)
    once = {model: seconds for mart in marts for model, seconds in costs[mart].items()}
    total = sum(once.values())
    sums = [f"{spent:.1f} ({spent / total:.2f})" for spent in totals.values()]
    table.add_row("all, shared models once", "", f"{total:.1f}", "", *sums, style="bold")
    models = Table(title="Ávila's models that cost most", title_justify="left")
    models.add_column("model")
    for heading in ("CPU s", "of these marts"):
        models.add_column(heading, justify="right")
    for model, seconds in sorted(once.items(), key=lambda item: -item[1])[:12]:
        models.add_row(model, f"{seconds:.1f}", str(sum(model in made_from for made_from in costs.values())))
    return [table, models]


def main() -> None:
    """Print CPU seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--marts", nargs="+", choices=QUESTIONS, default=[*QUESTIONS])
    parser.add_argument("--at", type=Path, default=None, help="a directory with room for them, until they are removed")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(options.build)
        return
    if options.make:
        name, mart, events, out = options.make
        getattr(import_module(module_of(name, mart)), mart)(Path(events), Path(out))
        return
    with tempfile.TemporaryDirectory(dir=options.at) as scratch:
        shop = Shop(Path(scratch), options.events)
        shop.land_history()
        for table in run(Path(scratch), options.marts):
            Console(width=120).print(table)
    Console().print(f"{options.events:,} events; DuckDB {duckdb.__version__}, memory limit {Settings().memory_limit}.")


if __name__ == "__main__":
    main()
