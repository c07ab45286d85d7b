"""dbt models as assets, their tests as checks."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from graphlib import TopologicalSorter
from typing import Any

import duckdb
from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    DagsterInstance,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets
from dagster_dbt.asset_utils import get_asset_check_key_for_test

from orchestration import failing_rows
from orchestration.exhibits import hang, shown
from orchestration.fingerprints import fingerprints
from orchestration.freshness import freshness_of_marts
from orchestration.house import open_house
from orchestration.increments import build
from orchestration.lineage import LineageBook
from orchestration.manifest import load_manifest, parse
from orchestration.nights.retries import retried
from orchestration.nights.stopwatch import running
from orchestration.pictures.drawing import poster
from orchestration.pictures.gallery import GALLERY, draw
from orchestration.warehouse import DbtFailed, connect

HOUSE = open_house()
MANIFEST = load_manifest(HOUSE)


def _has_pictures(node: Mapping[str, Any]) -> bool:
    return node["schema"] == "marts" and node["name"] in GALLERY


def _shown(node: Mapping[str, Any]) -> str:
    """A mart's pictures, as Markdown for its description."""
    alt = f"The picture of {node['name']} is drawn by the next night that has something to show in it."
    return shown(node["name"], kind="svg", alt=alt)


class LayerTranslator(DagsterDbtTranslator):
    """Names an asset as SQL does, schema and table, and groups it by its layer."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """Schema and table name, or the asset that `meta` says writes the table beside its own."""
        told: dict[str, Any] = dbt_resource_props.get("meta", {}).get("dagster", {})
        return AssetKey(told.get("asset_key") or [dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> AssetSpec:
        """A model's; a mart's is stale when it is as old as an alert allows."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if spec.key.path[0] != "marts" or spec.freshness_policy is not None:
            return spec
        return spec.replace_attributes(freshness_policy=freshness_of_marts(HOUSE.declarations))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer: the folder under ``models/``."""
        layer: str = dbt_resource_props["fqn"][1]
        return layer

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The description in the model's YAML, without its SQL, and a mart's pictures."""
        description: str = dbt_resource_props["description"]
        return f"{description}\n\n{_shown(dbt_resource_props)}" if _has_pictures(dbt_resource_props) else description


TRANSLATOR = LayerTranslator()
KEYS = {
    (node["schema"], node["name"]): TRANSLATOR.get_asset_key(node)
    for nodes in (MANIFEST["nodes"], MANIFEST["sources"])
    for node in nodes.values()
    if node["resource_type"] in ("model", "source")
}
"""The assets of dbt's tables."""


@dbt_assets(
    manifest=MANIFEST,
    name="dbt_models",
    required_resource_keys={"night"},
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
    failure, stopwatch = None, running(context.run_id)
    results: list[Any] = []
    passed_before: Collection[str] = ()

    def read_project() -> Any:
        with stopwatch.part("dbt: read the project") if stopwatch else nullcontext():
            return parse(HOUSE)

    try:
        with retried(context, HOUSE.settings.retry_seconds):
            built = build(
                HOUSE.settings,
                HOUSE.declarations.dbt_vars(),
                MANIFEST,
                select=names,
                run_id=context.run_id,
                say=context.log.info,
                parse=read_project,
                on_event=stopwatch.note_node if stopwatch else None,
            )
            results, passed_before = built.results, built.passed_before
    except DbtFailed as error:
        results, passed_before, failure = error.results, error.passed_before, error
    seconds = {result.node.name: result.execution_time for result in results if result.status == "success"}
    if not any(result.node.resource_type == "model" for result in results) and failure is None:
        seconds = dict.fromkeys(names, 0.0)
    book = LineageBook(
        HOUSE.settings.root / "warehouse" / "dbt" / "column_lineage.json",
        fingerprints(MANIFEST, HOUSE.declarations.dbt_vars()),
        say=context.log.warning,
    )
    found: dict[str, str] = {}
    with retried(context, HOUSE.settings.retry_seconds), connect(HOUSE.settings) as connection:
        for result in results:
            if result.node.resource_type == "test" and result.status not in ("pass", "skipped"):
                found[result.node.unique_id] = failing_rows.told(connection, result)
            if result.node.resource_type == "model" and result.status == "success":
                book.read(connection, result.node.name, result.node.compiled_code)
        book.keep()
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
                        "dagster/column_lineage": _column_lineage(book, node["name"]),
                        "seconds": took,
                        **_picture(context.instance, connection, node),
                    },
                )
    for test in passed_before:
        if check := _selected_check(context, test):
            yield AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=True,
                description="It passed on the same tables before, and was not run again: nothing has changed since.",
                metadata={"failing_rows": 0},
            )
    for result in results:
        if result.node.resource_type != "test" or result.status == "skipped":
            continue
        if check := _selected_check(context, result.node.unique_id):
            yield AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=result.status == "pass",
                severity=AssetCheckSeverity.WARN if result.status == "warn" else AssetCheckSeverity.ERROR,
                description=found.get(result.node.unique_id),
                metadata={"failing_rows": result.failures or 0},
            )
    if failure is not None:
        raise Failure(f"dbt could not build or a test failed; the published marts stay as they are.\n{failure}")


def _selected_check(context: AssetExecutionContext, test: str) -> AssetCheckKey | None:
    """The check that a test of dbt is, if this run is to report it."""
    check = get_asset_check_key_for_test(MANIFEST, TRANSLATOR, test, None)
    return check if check in context.selected_asset_check_keys else None


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


def _column_lineage(book: LineageBook, model: str) -> TableColumnLineage:
    return TableColumnLineage(
        {
            column: [
                TableColumnDep(KEYS[schema, table], source)
                for schema, table, source in sources
                if (schema, table) in KEYS
            ]
            for column, sources in book.of(model).items()
        }
    )


def _picture(
    instance: DagsterInstance, connection: duckdb.DuckDBPyConnection, node: Mapping[str, Any]
) -> dict[str, MetadataValue[Any]]:
    """Lay a mart's pictures where its page looks for them."""
    if not _has_pictures(node):
        return {}
    pictures = draw(connection, node["name"])
    drawn = poster(pictures).encode() if pictures else None
    path = hang(instance, node["name"], drawn, kind="svg")
    return {"picture": MetadataValue.path(str(path))} if path else {}
