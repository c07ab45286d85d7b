"""dbt models as assets, their tests as checks."""

import hashlib
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableSchema,
)
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration.house import open_house
from orchestration.increments import build
from orchestration.manifest import load_manifest, parse
from orchestration.pictures.gallery import draw
from orchestration.warehouse import DbtFailed, connect

HOUSE = open_house()
MANIFEST = load_manifest(HOUSE)


class LayerTranslator(DagsterDbtTranslator):
    """Names an asset as SQL does, schema and table, and groups it by its layer."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Schema and table name."""
        return AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer: the folder under ``models/``."""
        layer: str = dbt_resource_props["fqn"][1]
        return layer

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The description in the model's YAML, without its SQL."""
        description: str = dbt_resource_props["description"]
        return description


TRANSLATOR = LayerTranslator()


@dbt_assets(
    manifest=MANIFEST,
    name="dbt_models",
    dagster_dbt_translator=TRANSLATOR,
    exclude="resource_type:unit_test",
)
def dbt_models(context: AssetExecutionContext) -> Iterator[MaterializeResult[Any] | AssetCheckResult]:
    """Build the selected models in dependency order and test each as it is built."""
    models = {
        TRANSLATOR.get_asset_key(node): node
        for node in _in_dependency_order()
        if TRANSLATOR.get_asset_key(node) in context.selected_asset_keys
    }
    names = [node["name"] for node in models.values()]
    context.log.info(f"dbt: building {len(names)} models")
    failure = None
    results: list[Any] = []
    try:
        results = build(
            HOUSE.settings,
            HOUSE.declarations.dbt_vars(),
            MANIFEST,
            select=names,
            run_id=context.run_id,
            say=context.log.info,
            parsed=parse(HOUSE),
        )
    except DbtFailed as error:
        results, failure = error.results, error
    seconds = {result.node.name: result.execution_time for result in results if result.status == "success"}
    if not any(result.node.resource_type == "model" for result in results) and failure is None:
        seconds = dict.fromkeys(names, 0.0)
    with connect(HOUSE.settings) as connection:
        for key, node in models.items():
            if node["name"] in seconds:
                rows = connection.execute(f"select count(*) from {node['relation_name']}").fetchall()[0][0]
                took = seconds[node["name"]]
                context.log.info(f"{node['schema']}.{node['name']}: {rows:,} rows in {took:.1f} s")
                yield MaterializeResult(
                    asset_key=key,
                    metadata={
                        "dagster/row_count": rows,
                        "dagster/column_schema": _column_schema(connection, node),
                        "seconds": took,
                        **_pictures(context.instance, connection, node),
                    },
                )
    for result in results:
        if result.node.resource_type != "test" or result.status == "skipped":
            continue
        check = get_asset_check_key_for_test(MANIFEST, TRANSLATOR, result.node.unique_id, None)
        if check is not None and check in context.selected_asset_check_keys:
            yield AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=result.status == "pass",
                severity=AssetCheckSeverity.WARN if result.status == "warn" else AssetCheckSeverity.ERROR,
                description=None if result.status == "pass" else result.message,
                metadata={"failing_rows": result.failures or 0},
            )
    if failure is not None:
        raise Failure(f"dbt could not build or a test failed; the published marts stay as they are.\n{failure}")


def _in_dependency_order() -> list[Mapping[str, Any]]:
    """Every model after those it reads, as Dagster wants to be told of them."""
    nodes = {key: node for key, node in MANIFEST["nodes"].items() if node["resource_type"] == "model"}
    parents = {key: [p for p in node["depends_on"]["nodes"] if p in nodes] for key, node in nodes.items()}
    return [nodes[key] for key in TopologicalSorter(parents).static_order()]


def _column_schema(connection: duckdb.DuckDBPyConnection, node: Mapping[str, Any]) -> TableSchema:
    described = node["columns"]
    return TableSchema(
        columns=[
            TableColumn(name, kind.lower(), described[name]["description"] if name in described else None)
            for name, kind, *_ in connection.execute(f"describe {node['relation_name']}").fetchall()
        ]
    )


def _pictures(
    instance: DagsterInstance, connection: duckdb.DuckDBPyConnection, node: Mapping[str, Any]
) -> dict[str, MetadataValue[Any]]:
    """A mart's pictures, by their titles.

    The UI shows Markdown of under a thousand characters at once and hides more of it behind a button, so a picture is
    not written into it but named: it lies among the logs, which the UI's own server serves.
    """
    manager = instance.compute_log_manager
    if node["schema"] != "marts" or not isinstance(manager, LocalComputeLogManager):
        return {}
    shown: dict[str, MetadataValue[Any]] = {}
    for picture in draw(connection, node["name"]):
        text = picture.to_file()
        path = Path(manager.get_captured_local_path(["pictures", picture.name], "svg"))
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".new-{path.name}")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
        # The hash tells a browser that the picture is another one than it has kept.
        version = hashlib.sha256(text.encode()).hexdigest()[:12]
        shown[picture.title] = MetadataValue.md(f"![{picture.name}](/logs/pictures/{picture.name}/svg?{version})")
    return shown
