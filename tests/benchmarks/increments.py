"""What a night costs the models: a full build beside a bare sort of the events, and an increment beside the full build.

A history grows in two ways. A larger shop has more news every day, and its nights cost more; an older shop has as
much to tell as before, and what its nights cost more is the price of the history. Histories are simulated in SQL, day
by day, straight into a lake: sessions of returning visitors, half of whom log in on the way, with copies that come
again a day later. CPU seconds are those of a whole process, dbt and its start included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from orchestration.declarations import Declarations
from orchestration.increments import drop_outdated, last_seq, note_built
from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.warehouse import connect, run_dbt

FIRST_DAY = date(2025, 1, 1)
DAYS = 180
LATEST = 150
"""The latest events come so many days late."""
HISTORIES = ["2000000x180", "10000000x180", "10000000x900"]
"""A shop, one of five times its news, and the first grown five times as old."""
MODELS = (
    "int_events_identified int_user_activity int_activity_sessionized sessions user_days users cohort_retention "
    "rfm_scores funnel_users funnel_steps events"
)
"""What a build is measured by; what they are made from comes with them, the features of users' scores too."""
FEATURES = (
    *("int_events_known", "int_user_slices_known", "int_user_days_known", "int_user_breadth_known"),
    *("int_user_origins_known", "int_user_active_periods", "int_cutoffs", "int_outcome_keys", "int_touched_outcomes"),
    *("user_snapshots", "churn_outcomes", "conversion_outcomes", "churn_features", "conversion_features"),
)
"""What builds make for the scores alone, and no part of what is held against the sort."""

EVENTS = """
copy (
    with sessions as (
        select
            s,
            cast({users} * pow((hash(s, {day}, 1) % 1000003) / 1000003.0, 1.7) as bigint) as person,
            hash(s, {day}, 2) % 86400 as started,
            hash(s, {day}, 3) % 10 < 5 as logs_in
        from range({sessions}) as t(s)
    ),
    events as (
        select
            *,
            timestamp '{first}' + to_days({day})
                + to_seconds(cast(started + i * (hash(s, {day}, i, 4) % 240) as bigint))
                + to_microseconds(cast(hash(s, i, 5) % 1000000 as bigint)) as event_ts,
            hash(person, s % 2) as device_number,
            hash(s, {day}, i, 6) % 1000 as dice
        from sessions, range(8) as e(i)
    )
    select
        md5(concat_ws('-', {day}, s, i)) as event_id,
        case when dice < 620 then 'page_view' when dice < 850 then 'view_item' when dice < 950 then 'add_to_cart'
            when dice < 985 then 'begin_checkout' else 'purchase' end as event_name,
        event_ts,
        event_ts + interval 2 second as received_ts,
        case when logs_in and i >= 3 then 'user-' || person end as user_id,
        'device-' || device_number as anonymous_id,
        cast(null as varchar) as source_session_id,
        '/p/' || (dice % 500) as page,
        case when i = 0 then 'https://search.example/' end as referrer,
        case when i = 0 and dice % 3 = 0 then 'newsletter' end as utm_source,
        case when i = 0 and dice % 3 = 0 then 'email' end as utm_medium,
        cast(null as varchar) as utm_campaign,
        case when device_number % 3 = 0 then 'ios' else 'web' end as platform,
        'phone' as device,
        case when person % 5 = 0 then 'PT' else 'BR' end as country,
        case when dice between 620 and 984 then 'sku-' || (dice * 7 % 900) end as item_id,
        cast(case when dice >= 985 then 1 end as decimal(18, 4)) as quantity,
        cast(case when dice >= 985 then 10 + dice % 90 end as decimal(18, 4)) as revenue,
        case when dice >= 985 then 'BRL' end as currency,
        '{{"variant":"' || (dice % 2) || '"}}' as properties,
        'shop' as source,
        'day-{day}' as dump_file,
        row_number() over () as dump_row,
        '{load}' as load_id
    from events
    where {where}
) to '{file}' (format parquet, compression zstd)
"""


class Shop:
    """A lake of so many events, a file a day.

    Args:
        root: The data directory.
        events: How many, over all days.
        days: How many those are; more than 150.
    """

    def __init__(self, root: Path, events: int, days: int = DAYS) -> None:
        self.settings = Settings(data_dir=root)
        self._days = days
        self._sessions = events // days // 8
        self._users = max(events // 50, 1)
        self._loads: list[str] = []
        self.settings.lake.mkdir(parents=True, exist_ok=True)

    def land(self, *parts: tuple[int, str], load: str) -> None:
        """Write the events of some days, each under a condition, as one load per part."""
        with connect(self.settings) as connection:
            for number, (day, where) in enumerate(parts):
                name = f"{load}-{number}"
                connection.execute(
                    EVENTS.format(
                        day=day, where=where, load=name, first=FIRST_DAY, sessions=self._sessions, users=self._users,
                        file=self.settings.lake / f"{name}.parquet",
                    )
                )  # fmt: skip
                self._loads.append(name)
            listed = ", ".join(f"('{name}', {seq}, null, '{name}.parquet')" for seq, name in enumerate(self._loads, 1))
            connection.execute("drop table if exists ops.loads")
            connection.execute(
                "create table ops.loads (load_id varchar, load_seq bigint, retired_seq bigint, parquet_file varchar, "
                "rows bigint, status varchar, rejected bigint)"
            )
            connection.execute(f"insert into ops.loads (load_id, load_seq, retired_seq, parquet_file) values {listed}")

    def land_history(self) -> None:
        """All days but the last, but for what comes late; one event in a hundred comes again a day later."""
        late = "hash(s, i, 7) % 50 != 0"
        last = self._days - 1
        for day in range(last):
            whole = day < last - 3 and day != last - LATEST
            self.land((day, "true" if whole else late), load=f"day-{day}")

    def land_night(self) -> None:
        """The last day; the late events of the three days before; some 150 days late; copies of the day before."""
        late = "hash(s, i, 7) % 50 = 0"
        last = self._days - 1
        parts = [(last, "true"), *((last - back, late) for back in (1, 2, 3))]
        parts += [(last - LATEST, f"{late} and s < 500"), (last - 1, "hash(s, i, 8) % 100 = 0")]
        self.land(*parts, load="night")


def variables() -> dict[str, Any]:
    """The declarations of the simulated shop with one funnel."""
    said = Declarations.load(PROJECT_ROOT / "data" / "avila.yml").dbt_vars()
    return {**said, "funnels": said["funnels"][:1]}


class ModelCosts:
    """CPU seconds by model: dbt tells it when one begins and ends, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = 0.0

    def __call__(self, event: Any) -> None:
        """Take note of an event of dbt's."""
        if event.info.name == "NodeStart":
            self._since = time.process_time()
        if event.info.name == "NodeFinished":
            self.seconds[event.data.node_info.node_name] = time.process_time() - self._since

    def write(self, root: Path) -> None:
        """Leave them where the process that measures looks for them."""
        (root / "costs.json").write_text(json.dumps(self.seconds))


def build(settings: Settings, select: str) -> None:
    """Run the models as a night does, without their tests."""
    said = variables()
    run_dbt(["parse"], settings, said)
    manifest = json.loads((settings.root / "warehouse" / "dbt" / "manifest.json").read_text())
    with connect(settings) as connection:
        drop_outdated(connection, manifest, said)
        seq = last_seq(connection)
    costs = ModelCosts()
    results = run_dbt(["run", "--select", *select.split()], settings, said, costs).results
    with connect(settings) as connection:
        note_built(connection, manifest, said, built=[result.node.name for result in results], seq=seq)
    costs.write(settings.root)
    for name, seconds in sorted(costs.seconds.items(), key=lambda cost: -cost[1])[:14]:
        print(f"  {seconds:7.2f} CPU s  {name}", file=sys.stderr)  # noqa: T201


def sort(settings: Settings) -> None:
    """The floor: scan the lake's events and sort them by user and time, into memory as far as it goes."""
    config: dict[str, Any] = {"memory_limit": settings.memory_limit, "threads": settings.threads}
    config["temp_directory"] = str(settings.root / "spill")
    with duckdb.connect(config=config) as connection:
        connection.execute(
            f"""
            create temp table sorted as
            select * from read_parquet('{settings.lake}/*.parquet')
            order by coalesce(user_id, anonymous_id), event_ts
            """
        )


def of_features(root: Path) -> float:
    """CPU seconds that the last build spent on features."""
    costs = json.loads((root / "costs.json").read_text())
    return float(sum(costs.get(name, 0.0) for name in FEATURES))


def measured(
    step: str, root: Path, *rest: str, module: str = "tests.benchmarks.increments"
) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MB of one step of a benchmark in a process of its own."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", module, "--step", step, str(root), *rest], cwd=PROJECT_ROOT
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Print CPU seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", nargs="+", default=HISTORIES, help="events and days of each, as 10000000x180")
    parser.add_argument("--select", default=" ".join(f"+{model}" for model in MODELS.split()))
    parser.add_argument("--at", type=Path, default=None, help="a directory with room for them, until they are removed")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, root, select = options.step
        settings = Settings(data_dir=Path(root))
        sort(settings) if step == "sort" else build(settings, select)
        return
    table = Table(title="Models: CPU seconds", title_justify="left")
    for heading in (
        *("events", "days", "sort", "full build", "of features", "rest x sort", "peak MB"),
        *("increment", "of features", "% of full", "nothing new"),
    ):
        table.add_column(heading, justify="right")
    for events, days in (map(int, history.split("x")) for history in options.histories):
        with tempfile.TemporaryDirectory(dir=options.at) as scratch:
            shop = Shop(Path(scratch), events, days)
            shop.land_history()
            floor, _, _ = measured("sort", shop.settings.root, "")
            full, _, peak = measured("build", shop.settings.root, options.select)
            full_features = of_features(shop.settings.root)
            shop.land_night()
            night, _, _ = measured("build", shop.settings.root, options.select)
            night_features = of_features(shop.settings.root)
            idle, _, _ = measured("build", shop.settings.root, options.select)
            table.add_row(
                f"{events:,}", f"{days}", f"{floor:.1f}", f"{full:.1f}", f"{full_features:.1f}",
                f"{(full - full_features) / floor:.2f}", f"{peak:,.0f}", f"{night:.1f}", f"{night_features:.1f}",
                f"{100 * night / full:.1f}", f"{idle:.1f}",
            )  # fmt: skip
    Console(width=132).print(table)
    Console().print(f"Days from {FIRST_DAY} on; memory limit {Settings().memory_limit}.")


if __name__ == "__main__":
    main()
