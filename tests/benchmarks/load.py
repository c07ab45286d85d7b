"""``make bench``: what loading a dump costs, beside a bare copy by DuckDB and the same parse by others.

The others make the same columns of the same types, number the rows and set those apart that are no events; none finds
out why, keeps their text, or proves that the file was read to its end.

Every contender runs in a process of its own, in turn, several times; CPU seconds of the whole process are compared by
their medians, less what starting Python and importing the contender costs.
"""

import argparse
import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.settings import PROJECT_ROOT

COLUMNS = {
    "event_id": "VARCHAR",
    "event": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "user_id": "VARCHAR",
    "anonymous_id": "VARCHAR",
    "session_id": "VARCHAR",
    "page": "VARCHAR",
    "referrer": "VARCHAR",
    "utm_source": "VARCHAR",
    "utm_medium": "VARCHAR",
    "utm_campaign": "VARCHAR",
    "platform": "VARCHAR",
    "device": "VARCHAR",
    "country": "VARCHAR",
    "item_id": "VARCHAR",
    "quantity": "BIGINT",
    "revenue": "DOUBLE",
    "currency": "VARCHAR",
    "search_term": "VARCHAR",
    "coupon": "VARCHAR",
    "ab_variant": "VARCHAR",
}
TIMES, AMOUNTS, REST = ["timestamp", "received_at"], ["quantity", "revenue"], ["search_term", "coupon", "ab_variant"]
"""What becomes UTC timestamps, decimals, and JSON in `properties`."""


def avila(dump: Path, out: Path) -> None:
    """Load through the lake: mapping, checks, rejects, hashes, catalogue and all."""
    from orchestration.ingestion.lake import Lake
    from orchestration.ingestion.sources import Source

    source = Source(
        name="bench",
        path=(str(dump),),
        columns={"event_name": "event", "event_ts": "timestamp", "received_ts": "received_at"},
    )
    report = Lake(out / "lake").load(source, data_dir=out, threads=2)
    assert report.loaded == 1, report


def duckdb_bare(dump: Path, out: Path) -> None:
    """The floor: a scan with declared columns, written to Parquet; no checks at all."""
    import duckdb

    reader = "read_csv" if ".csv" in dump.name else "read_json"
    only_json = "" if ".csv" in dump.name else ", format = 'newline_delimited'"
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(
        f"""
        copy (select * from {reader}('{dump}', columns = {COLUMNS!r}, ignore_errors = true{only_json}))
        to '{out / "bare.parquet"}' (format parquet, compression zstd)
        """
    )


def polars(dump: Path, out: Path) -> None:
    """Polars by its own idiom."""
    import polars as pl

    if ".csv" in dump.name:
        frame = pl.read_csv(dump, infer_schema=False, row_index_name="dump_row", row_index_offset=1)
    else:
        schema = dict.fromkeys(COLUMNS, pl.String)
        frame = pl.read_ndjson(dump, schema=schema, ignore_errors=True).with_row_index("dump_row", offset=1)
    times = [pl.col(name).str.to_datetime(strict=False, time_zone="UTC") for name in TIMES]
    amounts = [pl.col(name).cast(pl.Decimal(18, 4), strict=False) for name in AMOUNTS]
    events = frame.with_columns(*times, *amounts, properties=pl.struct(REST).struct.json_encode(), **_constants(pl.lit))
    someone = pl.col("user_id").is_not_null() | pl.col("anonymous_id").is_not_null()
    good = pl.col("timestamp").is_not_null() & pl.col("event").is_not_null() & someone
    events.filter(good).drop(REST).write_parquet(out / "polars.parquet")
    events.filter(~good).write_parquet(out / "rejects.parquet")


def pandas(dump: Path, out: Path) -> None:
    """Pandas by its own idiom; amounts stay floating-point, as decimals are objects to it."""
    import pandas as pd

    frame = pd.read_csv(dump, dtype=str) if ".csv" in dump.name else pd.read_json(dump, lines=True, dtype=False)
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601", errors="coerce")
    for name in AMOUNTS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    rest = frame[REST].to_json(orient="records", lines=True).splitlines()
    frame = frame.drop(columns=REST).assign(properties=rest, dump_row=range(1, len(frame) + 1), **_constants(str))
    good = (
        frame["timestamp"].notna() & frame["event"].notna() & (frame["user_id"].notna() | frame["anonymous_id"].notna())
    )
    frame[good].to_parquet(out / "pandas.parquet")
    frame[~good].to_parquet(out / "rejects.parquet")


def chdb(dump: Path, out: Path) -> None:
    """ClickHouse in this process, by its own idiom."""
    from chdb import session

    names = {"VARCHAR": "Nullable(String)", "TIMESTAMP": "Nullable(DateTime64(6))"}
    names |= {"BIGINT": "Nullable(Decimal(18, 4))", "DOUBLE": "Nullable(Decimal(18, 4))"}
    structure = ", ".join(f"{name} {names[kind]}" for name, kind in COLUMNS.items())
    kind = "CSVWithNames" if ".csv" in dump.name else "JSONEachRow"
    rest = ", ".join(f"'{name}', {name}" for name in REST)
    constants = ", ".join(f"{value} as {name}" for name, value in _constants("'{}'".format).items())
    session.Session().query(
        f"insert into function file('{out / 'chdb.parquet'}', 'Parquet') "
        f"select * except ({', '.join(REST)}), toJSONString(map({rest})) as properties, {constants}, "
        f"rowNumberInAllBlocks() as dump_row from file('{dump}', '{kind}', '{structure}') "
        "where isNotNull(timestamp) and isNotNull(event) and (isNotNull(user_id) or isNotNull(anonymous_id)) "
        "settings date_time_input_format = 'best_effort', max_threads = 2, input_format_allow_errors_ratio = 0.01"
    )


def _constants(spelt: Callable[[str], Any]) -> dict[str, Any]:
    return {name: spelt("bench") for name in ("source", "dump_file", "load_id")}


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {
    "avila": avila,
    "duckdb_bare": duckdb_bare,
    "polars": polars,
    "pandas": pandas,
    "chdb": chdb,
}
IMPORTS = {
    "avila": "orchestration.ingestion.lake",
    "duckdb_bare": "duckdb",
    "polars": "polars",
    "pandas": "pandas, pyarrow",
    "chdb": "chdb",
}


def cpu_seconds(*arguments: str) -> float:
    """CPU of one child process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=PROJECT_ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_dumps(root: Path, events: int) -> dict[Path, list[str]]:
    """Simulated dumps, with the contenders that can read them.

    The same rows as gzipped JSON Lines and CSV, without the simulator's broken lines, which Polars and pandas stop at;
    then with them.
    """
    script = str(PROJECT_ROOT / "data" / "simulate.py")
    arguments = ["--out", str(root), "--events", str(events), "--days", "30"]
    subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True)
    whole, jsonl, csv_dump = root / "broken-lines.jsonl.gz", root / "events.jsonl.gz", root / "events.csv.gz"
    with (
        gzip.open(whole, "wt", compresslevel=1) as as_dumped,
        gzip.open(jsonl, "wt", compresslevel=1) as clean,
        gzip.open(csv_dump, "wt", compresslevel=1, newline="") as table,
    ):
        writer = csv.DictWriter(table, COLUMNS)
        writer.writeheader()
        for dump in sorted((root / "landing" / "shop").glob("*.jsonl.gz")):
            for line in gzip.decompress(dump.read_bytes()).decode().splitlines(keepends=True):
                as_dumped.write(line)
                try:
                    event = json.loads(line)
                    datetime.fromisoformat(event["timestamp"])
                except (ValueError, KeyError):
                    continue
                clean.write(line)
                writer.writerow(event)
    return {jsonl: list(CONTENDERS), csv_dump: list(CONTENDERS), whole: ["avila", "duckdb_bare"]}


def main() -> None:
    """Print CPU seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "DUMP", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, dump, out = options.one
        CONTENDERS[contender](Path(dump), Path(out))
        return
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as scratch:
        dumps = write_dumps(Path(scratch), options.events)
        starting = {name: cpu_seconds("-c", f"import {modules}") for name, modules in IMPORTS.items()}
        for dump, contenders in dumps.items():
            costs: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(options.repeats):
                for name in contenders:
                    with tempfile.TemporaryDirectory(dir=scratch) as out:
                        spent = cpu_seconds("-m", "tests.benchmarks.load", "--one", name, str(dump), out)
                    costs[name].append(max(spent - starting[name], 0.001))
            table = Table(title=f"{dump.name}: {dump.stat().st_size / 1e6:,.0f} MB", title_justify="left")
            for heading in ("loader", "CPU s (median)", "x DuckDB's bare copy"):
                table.add_column(heading, justify="left" if heading == "loader" else "right")
            floor = median(costs["duckdb_bare"])
            for name, spent in costs.items():
                table.add_row(name, f"{median(spent):.2f}", f"{median(spent) / floor:.2f}")
            console.print(table)


if __name__ == "__main__":
    main()
