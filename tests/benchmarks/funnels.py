"""What funnels cost: ten of them beside one, and each option beside a funnel without it.

The events are those of `increments`, brought up to the point where funnels begin once. CPU seconds are those of the
funnel models alone: what the same models take without any funnel, dbt and its start included, is taken off. Beside
them stands what an analyst waits for: funnels together with the models that they are made from.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.settings import Settings
from orchestration.warehouse import connect, run_dbt
from tests.benchmarks.increments import Shop, measured, variables

BEFORE = "+int_event_ties +int_data_span +int_touched_periods"
MODELS = (
    "int_funnels_declared int_funnel_fill_conditions int_funnel_step_events int_funnel_entries "
    "int_funnel_entries_outdone funnel_users int_funnel_breakdowns int_touched_funnels funnel_steps"
)

NAMES = ("page_view", "view_item", "add_to_cart", "begin_checkout", "purchase")
"""The shop's events, the commonest first."""


def declared(number: int, **options: Any) -> dict[str, Any]:
    """A funnel as avila.yml has it: three or four of the shop's steps, another choice for each number."""
    first, length = number % 3, 3 + number % 2
    steps: list[Any] = [*NAMES[first : first + length]]
    steps[-1] = {"event": steps[-1], "where": f"page <> '/p/{number}'", "name": "last"}
    return {"window_hours": 24 * (1 + number % 7), "steps": steps, **options}


DECLARATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    "one": {"f0": declared(1)},
    "ten": {f"f{number}": declared(1 + number) for number in range(10)},
}


def said(name: str) -> dict[str, Any]:
    """The variables of a declaration, as dbt reads them."""
    from orchestration.funnels import Funnel, funnel_variables

    funnels = {title: Funnel.model_validate(funnel) for title, funnel in DECLARATIONS[name].items()}
    return {**variables(), "funnels": funnel_variables(funnels)}


def step(name: str, root: Path) -> None:
    """Build the funnel models of a declaration anew."""
    settings = Settings(data_dir=root)
    with connect(settings) as connection:
        for table in (
            *("intermediate.int_funnel_entries", "intermediate.int_funnel_entries_outdone"),
            *("marts.funnel_users", "marts.funnel_steps"),
        ):
            connection.execute(f"drop table if exists {table}")
    # dbt reads the whole project anew where a declaration is not the one before; let each pay for that, the first too.
    (root / "warehouse" / "dbt" / "partial_parse.msgpack").unlink(missing_ok=True)
    run_dbt(["run", "--select", *MODELS.split()], settings, said(name))


def main() -> None:
    """Print CPU seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--at", type=Path, default=None, help="where to keep the history; by default, it is not kept")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step[0], Path(options.step[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = options.at or Path(scratch)
        if not (root / "warehouse").exists():
            shop = Shop(root, options.events)
            shop.land_history()
            began = time.process_time()
            run_dbt(["run", "--select", *BEFORE.split()], shop.settings, said("none"))
            (root / "before.txt").write_text(str(time.process_time() - began))
        before = float((root / "before.txt").read_text())
        seconds: dict[str, list[float]] = {name: [] for name in DECLARATIONS}
        for _ in range(options.runs):
            for name in DECLARATIONS:
                seconds[name].append(measured(name, root, module="tests.benchmarks.funnels")[0])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    table = Table(title="Funnels: CPU seconds", title_justify="left")
    for heading in ("funnels", "CPU s", "x one", "with what they are made from", "x one"):
        table.add_column(heading, justify="right")
    for name, median in medians.items():
        net, one = median - medians["none"], medians["one"] - medians["none"]
        table.add_row(
            name, f"{net:.1f}", f"{net / one:.2f}", f"{before + net:.1f}", f"{(before + net) / (before + one):.2f}"
        )
    Console(width=100).print(table)
    Console().print(
        f"{options.events:,} events; without any funnel, the models and dbt's start take {medians['none']:.1f} s."
    )


if __name__ == "__main__":
    main()
