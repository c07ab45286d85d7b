"""Dumps into the lake, one asset a source; then the lake's catalogue into the warehouse."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import duckdb
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    Definitions,
    MaterializeResult,
    MetadataValue,
    asset,
    asset_check,
)

from orchestration.audits import gate
from orchestration.data_docs import PAGE, Suite, drop
from orchestration.dumps import check_dumps, dumps_of, inputs_of, measure
from orchestration.house import open_house
from orchestration.ingestion.cuts import UNMATCHED
from orchestration.ingestion.lake import Lake, Progress, RejectReason
from orchestration.ingestion.sources import AMOUNT_COLUMNS, Source
from orchestration.nights.recovery import last_recovery
from orchestration.nights.retries import TRIES, again, retried
from orchestration.nights.runs import start_run
from orchestration.publish import sweep
from orchestration.sql import literal
from orchestration.warehouse import connect

HOUSE = open_house()
RAW_SHOWN = 160


class Heartbeat:
    """Says how far a load has come, at most every few seconds."""

    seconds = 5.0

    def __init__(self, context: AssetExecutionContext) -> None:
        self._context = context
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Speak, if it is time."""
        if time.monotonic() - self._last >= self.seconds:
            self._last = time.monotonic()
            share = progress.bytes_done / progress.bytes_total if progress.bytes_total else 1.0
            self._context.log.info(
                f"{progress.source}: {progress.files_done} of {progress.files_total} dumps, "
                f"{progress.rows:,} rows, {share:.0%}"
            )


def severity(gate: str) -> AssetCheckSeverity:
    """What a failure of a gate is: an error where it blocks."""
    return AssetCheckSeverity.WARN if getattr(HOUSE.declarations.gates, gate) == "warn" else AssetCheckSeverity.ERROR


def patterns(source: Source) -> str:
    """The source's globs, as Markdown."""
    return ", ".join(f"`{pattern}`" for pattern in source.path)


def lake_asset(name: str, source: Source) -> AssetsDefinition:
    """The asset that loads one declared source."""
    files_read, has_data, rejects_few = "every_file_could_be_read", "something_is_loaded", "rejected_share_within_limit"

    @asset(
        key=["lake", name],
        group_name="lake",
        kinds={"parquet", "duckdb"},
        required_resource_keys={"night"},
        description=f"Canonical events of {patterns(source)}, each dump loaded exactly once.",
        deps=[["landing", name]],
        check_specs=[
            AssetCheckSpec(files_read, asset=["lake", name], description="No dump failed to open."),
            AssetCheckSpec(
                has_data, asset=["lake", name], description="A dump was loaded at least once, this night or before."
            ),
            AssetCheckSpec(
                rejects_few,
                asset=["lake", name],
                description=f"At most {HOUSE.declarations.max_rejected_share(name):.1%} of the rows are rejected.",
            ),
        ],
    )
    def load(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        settings = HOUSE.settings
        with retried(context, settings.retry_seconds), closing(Lake(settings.lake)) as lake:
            report = lake.load(
                source,
                data_dir=settings.root,
                memory_limit=settings.memory_limit,
                threads=settings.threads,
                on_progress=Heartbeat(context),
            )
            never_loaded = not lake.was_loaded(name)
            share = lake.rejected_share(name)
            over = share > HOUSE.declarations.max_rejected_share(name)
            reasons = lake.frequent_rejects(name) if over else []
        context.log.info(
            f"{name}: {report.loaded} new dumps, {report.rows:,} rows, {report.filtered:,} filtered, "
            f"{report.rejected:,} rejected; {report.unchanged} dumps were loaded before"
            + (f"; {report.replaced} loads gave way: a dump, or how it is read, has changed" if report.replaced else "")
            + (f"; the rows of {report.withdrawn} dumps were withdrawn with their files" if report.withdrawn else "")
        )
        for message in (*report.warnings, *report.failures):
            context.log.warning(message)
        if report.passing and context.retry_number < TRIES:
            raise again(context, f"{len(report.passing)} of these did not answer.", settings.retry_seconds)
        yield MaterializeResult(
            asset_key=["lake", name],
            metadata={
                "dagster/row_count": report.rows,
                "dumps_loaded": report.loaded,
                "dumps_replaced": report.replaced,
                "dumps_withdrawn": report.withdrawn,
                "dumps_unchanged": report.unchanged,
                "copies_of_loaded_dumps": report.duplicate,
                "dumps_failed": report.failed,
                "filtered": report.filtered,
                "rejected": report.rejected,
                "first_event": str(report.first_event_ts),
                "last_event": str(report.last_event_ts),
                "warnings": MetadataValue.json(list(report.warnings)),
                "data_docs": MetadataValue.path(str(settings.data_docs / PAGE)),
            },
        )
        yield AssetCheckResult(
            check_name=files_read,
            passed=not report.failures,
            severity=severity("files"),
            description="\n".join(report.failures) or None,
        )
        why_empty = "\n".join(report.failures or report.warnings)
        yield AssetCheckResult(
            check_name=has_data,
            passed=not never_loaded,
            severity=severity("sources"),
            description=f"Nothing of this source has ever been loaded.\n{why_empty}" if never_loaded else None,
        )
        limit = HOUSE.declarations.max_rejected_share(name)
        yield AssetCheckResult(
            check_name=rejects_few,
            passed=not over,
            severity=severity("rejects"),
            description=too_many_rejects(name, share, limit, reasons) if over else None,
            metadata={"share": share, "limit": limit},
        )

    return load


def dumps_gate(name: str) -> AssetChecksDefinition:
    """The gate of a source's dumps, before the warehouse takes in what is in them."""
    suite = Suite(
        name=f"dumps of {name}",
        asset=f"lake/{name}",
        about=(
            "Great Expectations: of each dump, times that can be, few rejects, names that are no ids, nobody who is "
            "half of all users, currencies that are codes, and revenue of the usual size."
        ),
        gate="dumps",
        unit="dumps",
    )

    @asset_check(
        asset=["lake", name],
        name=f"expectations_of_{name}_dumps",
        description=suite.about,
        blocking=True,
        required_resource_keys={"night"},
    )
    def check(context: AssetCheckExecutionContext) -> AssetCheckResult:
        settings = HOUSE.settings
        with retried(context, settings.retry_seconds), connect(settings) as connection:
            with closing(Lake(settings.lake)) as lake:
                live = [load for load in lake.loads(name) if load.status == "live"]
            dumps = dumps_of(name, live, measure(connection, settings.lake, live))
            return gate(
                context,
                connection,
                settings,
                suite=suite,
                inputs=inputs_of(dumps),
                audit=lambda: check_dumps(dumps),
                verdict=HOUSE.declarations.gates.dumps,
            )

    return check


def too_many_rejects(name: str, share: float, limit: float, reasons: Sequence[RejectReason]) -> str:
    """What was rejected, why, and what to do about it."""
    said = [f"{share:.1%} of the rows are rejected, over {limit:.1%}; most often:"]
    for found in reasons:
        raw = " ".join((found.raw_text or "").split())
        said += [
            f"  {found.count:,} rows: {found.reason}",
            f"    {found.file}:{found.row_number}  {raw[:RAW_SHOWN]}{'…' if len(raw) > RAW_SHOWN else ''}",
        ]
    said.append("  Filter such rows with `where:`, mend the expression, or raise `rejects: {max_share: …}`.")
    if any(found.reason == UNMATCHED for found in reasons):
        said.append("  `where:` is asked of lines that match the pattern; one that ends with `|.*` matches all.")
    undeclared = set(AMOUNT_COLUMNS) - set(HOUSE.declarations.sources[name].columns)
    said += [
        f'  {column} is the dump\'s own column of this name; `columns: {{{column}: "null"}}` leaves it out.'
        for column in sorted(undeclared & {found.reason.split()[0] for found in reasons})
    ]
    query = f"from {literal(HOUSE.settings.lake / 'rejects' / '*.parquet')} where source = {literal(name)}"
    return "\n".join(
        [
            *said,
            f'  All of them: .venv/bin/duckdb -c "{_in_quotes(query)}"',
        ]
    )


def _in_quotes(text: str) -> str:
    """A text between a shell's double quotes, which leave the single ones of SQL as they are."""
    return re.sub(r'([\\"$`])', r"\\\1", text)


def run_started_at(context: AssetExecutionContext) -> datetime:
    """When the run began, UTC without zone."""
    record = context.instance.get_run_record_by_id(context.run_id)
    began = record.start_time if record else None
    return datetime.fromtimestamp(began or time.time(), UTC).replace(tzinfo=None)


def newest_loads(connection: duckdb.DuckDBPyConnection) -> str:
    """The last twenty loads of `ops.loads`, as a Markdown table."""
    columns = (
        "source, file, status, rows, filtered, rejected, first_event_ts, last_event_ts, schema_changes, seconds, "
        "content_hash[:12] as content"
    )
    found = connection.execute(f"select {columns} from ops.loads order by load_seq desc limit 20")
    names = [column[0] for column in found.description or ()]
    rows = [[str(value).replace("|", "\\|") for value in row] for row in found.fetchall()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [names, ["---"] * len(names), *rows])


@asset(
    key=["ops", "loads"],
    group_name="ops",
    kinds={"duckdb"},
    required_resource_keys={"night"},
    deps=[["lake", name] for name in HOUSE.declarations.sources],
    description="Every load and every rejected row, as the lake's catalogue has them.",
    check_specs=[
        AssetCheckSpec(
            "warehouse_could_be_read",
            asset=["ops", "loads"],
            description="The warehouse file was neither broken nor gone, so nothing was built anew for that reason.",
        )
    ],
)
def loads(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Mirror the catalogue into the warehouse."""
    settings = HOUSE.settings
    with (
        retried(context, settings.retry_seconds),
        connect(settings) as connection,
        closing(Lake(settings.lake)) as lake,
    ):
        sweep(connection, settings)
        start_run(connection, run_id=context.run_id, started_at=run_started_at(context))
        lake.publish_catalog(connection)
        counts = {
            table: connection.execute(f"select count(*) from ops.{table}").fetchall()[0][0]
            for table in ("loads", "rejects")
        }
        newest = newest_loads(connection)
    drop(settings.data_docs, group="lake", but={f"lake/{name}" for name in HOUSE.declarations.sources})
    context.log.info(f"catalogue: {counts['loads']:,} loads, {counts['rejects']:,} rejected rows")
    yield MaterializeResult(
        metadata={
            "dagster/row_count": counts["loads"],
            "rejected_rows": counts["rejects"],
            "newest_loads": MetadataValue.md(newest),
        }
    )
    recovery = last_recovery(settings)
    yield AssetCheckResult(
        check_name="warehouse_could_be_read",
        passed=recovery is None,
        severity=AssetCheckSeverity.WARN,
        description=str(recovery) if recovery else None,
    )


defs = Definitions(
    assets=[
        *(
            AssetSpec(
                ["landing", name],
                group_name="landing",
                kinds={"file"},
                description=f"Dumps as they arrive: {patterns(source)}.",
            )
            for name, source in HOUSE.declarations.sources.items()
        ),
        *(lake_asset(name, source) for name, source in HOUSE.declarations.sources.items()),
        loads,
    ],
    asset_checks=[dumps_gate(name) for name in HOUSE.declarations.sources],
)
