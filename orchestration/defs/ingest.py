"""Dumps into the lake, one asset a source; then the lake's catalogue into the warehouse."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSpec,
    Definitions,
    MaterializeResult,
    MetadataValue,
    asset,
)

from orchestration.house import open_house
from orchestration.ingestion.lake import Lake
from orchestration.ingestion.sources import Source
from orchestration.warehouse import connect

HOUSE = open_house()


def patterns(source: Source) -> str:
    """The source's globs, as Markdown."""
    return ", ".join(f"`{pattern}`" for pattern in source.path)


def lake_asset(name: str, source: Source) -> AssetsDefinition:
    """The asset that loads one declared source."""
    files_read, rejects_few = "every_file_could_be_read", "rejected_share_within_limit"

    @asset(
        key=["lake", name],
        group_name="lake",
        kinds={"parquet", "duckdb"},
        description=f"Canonical events of {patterns(source)}, each dump loaded exactly once.",
        deps=[["landing", name]],
        check_specs=[
            AssetCheckSpec(files_read, asset=["lake", name], description="No dump failed to open."),
            AssetCheckSpec(
                rejects_few,
                asset=["lake", name],
                description=f"At most {HOUSE.declarations.max_rejected_share(name):.1%} of the rows are rejected.",
            ),
        ],
    )
    def load(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
        settings = HOUSE.settings
        lake = Lake(settings.lake)
        report = lake.load(
            source,
            data_dir=settings.root,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            on_progress=context.log.info,
        )
        context.log.info(str(report))
        for message in (*report.warnings, *report.failures):
            context.log.warning(message)
        yield MaterializeResult(
            asset_key=["lake", name],
            metadata={
                "dagster/row_count": report.rows,
                "files_loaded": report.files_loaded,
                "rows": report.rows,
                "filtered": report.filtered,
                "rejected": report.rejected,
                "first_event": str(report.first_event_ts),
                "last_event": str(report.last_event_ts),
                "warnings": MetadataValue.md("\n".join(f"- {text}" for text in report.warnings) or "none"),
            },
        )
        yield AssetCheckResult(
            check_name=files_read,
            passed=not report.failures,
            severity=AssetCheckSeverity.ERROR,
            description="\n".join(report.failures) or None,
        )
        share, limit = lake.rejected_share(name), HOUSE.declarations.max_rejected_share(name)
        yield AssetCheckResult(
            check_name=rejects_few,
            passed=share <= limit,
            severity=AssetCheckSeverity.ERROR,
            description=None if share <= limit else f"{share:.1%} of the rows are rejected, over {limit:.1%}",
            metadata={"share": share, "limit": limit},
        )

    return load


@asset(
    key=["ops", "loads"],
    group_name="ops",
    kinds={"duckdb"},
    deps=[["lake", name] for name in HOUSE.declarations.sources],
    description="Every load and every rejected row, as the lake's catalogue has them.",
)
def loads(context: AssetExecutionContext) -> MaterializeResult[Any]:
    """Mirror the catalogue into the warehouse."""
    with connect(HOUSE.settings) as connection:
        Lake(HOUSE.settings.lake).publish_catalog(connection)
        counts = {
            table: connection.execute(f"select count(*) from ops.{table}").fetchall()[0][0]
            for table in ("loads", "rejects")
        }
    context.log.info(f"catalogue: {counts['loads']:,} loads, {counts['rejects']:,} rejected rows")
    return MaterializeResult(metadata={"dagster/row_count": counts["loads"], "rejected_rows": counts["rejects"]})


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
    ]
)
