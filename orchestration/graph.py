"""What dbt's manifest, as it writes it, says of the project: its models and tests, and what follows from what."""

from collections.abc import Iterable, Mapping
from typing import Any


def models_of(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A manifest's models by their unique ids."""
    return {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def incremental_models(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The incremental models, by name.

    Args:
        manifest: dbt's, as it writes it.
    """
    return {node["name"]: node for node in models_of(manifest).values() if is_incremental(node)}


def is_incremental(node: Mapping[str, Any]) -> bool:
    """Whether a model is kept, and brought up to date at the cost of what is new."""
    return bool(node["config"]["materialized"] == "incremental")


def is_ephemeral(node: Mapping[str, Any]) -> bool:
    """Whether a model is a part of the SQL of others, and never built."""
    return bool(node["config"]["materialized"] == "ephemeral")


def is_region(node: Mapping[str, Any]) -> bool:
    """Whether a model says which rows are recomputed, not what is in them."""
    return str(node["name"]).startswith("int_touched_")


def parents_of(node: Mapping[str, Any], models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The models that a model has its rows from."""
    parents = [parent for parent in node["depends_on"]["nodes"] if parent in models]
    return [parent for parent in parents if not is_region(models[parent])]


def with_ancestors(manifest: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Some models, and all that they follow from; words that name no model are left out."""
    models = models_of(manifest)
    by_name = {node["name"]: unique_id for unique_id, node in models.items()}
    waiting = [by_name[name] for name in names if name in by_name]
    seen = set(waiting)
    while waiting:
        for parent in models[waiting.pop()]["depends_on"]["nodes"]:
            if parent in models and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return {models[unique_id]["name"] for unique_id in seen}


def tests_in(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """A manifest's tests by their unique ids."""
    return {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "test"}


def predictions_in(manifest: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The tables of predictions that some models read: what can change without a load."""
    wanted = set(names)
    nodes = [node for node in models_of(manifest).values() if node["name"] in wanted]
    read = {parent for node in nodes for parent in node["depends_on"]["nodes"]}
    return sorted(f"ml.{key.rsplit('.', 1)[1]}" for key in read if key.startswith("source.avila.ml."))


def tests_of_lake(manifest: Mapping[str, Any]) -> set[str]:
    """The tests that look at the lake itself, where a file may be lost or damaged between two nights."""
    models = models_of(manifest)

    def reads_lake(unique_id: str) -> bool:
        if unique_id not in models:
            return unique_id.startswith("source.")
        is_stored = models[unique_id]["config"]["materialized"] in ("table", "incremental")
        return not is_stored and any(map(reads_lake, models[unique_id]["depends_on"]["nodes"]))

    return {key for key, node in tests_in(manifest).items() if any(map(reads_lake, node["depends_on"]["nodes"]))}
