"""The fingerprints of dbt's models: hashes of all that decides what rows they have but the data."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from orchestration.graph import is_incremental, is_region, models_of, parents_of

_VARIABLE = re.compile(r"""var\(\s*['"](\w+)['"]""")
_NO_DEFINITION = frozenset({"lake_dir"})
"""Declarations that change where things lie, not what they are."""
_REGION_MACROS = "macros/increments/"
"""Macros that say which rows are recomputed, not what is in them."""
_MATERIALIZATION = "macro.avila.materialization_incremental_duckdb"


def fingerprints(manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, str]:
    """A hash of all that decides what rows a model has but the data, by the name of the model."""
    models, increments = models_of(manifest), _increments(manifest)
    found: dict[str, str] = {}

    def fingerprint(unique_id: str) -> str:
        if unique_id not in found:
            node = models[unique_id]
            macros = _macros(manifest, node["depends_on"]["macros"])
            texts = [node["raw_code"], *(macro["macro_sql"] for macro in macros)]
            defining = [macro for macro in macros if not macro["original_file_path"].startswith(_REGION_MACROS)]
            names = {
                name
                for text in (node["raw_code"], *(macro["macro_sql"] for macro in defining))
                for name in _VARIABLE.findall(text)
            }
            columns = {
                name: [column.get("data_type"), column.get("constraints")] for name, column in node["columns"].items()
            }
            definition = [
                texts,
                [(name, variables.get(name)) for name in sorted(names - _NO_DEFINITION)],
                [fingerprint(parent) for parent in sorted(parents_of(node, models))],
                columns if node["config"].get("contract", {}).get("enforced") else None,
                increments if is_incremental(node) else None,
                # Time zones are its own, and change with it.
                duckdb.__version__,
            ]
            found[unique_id] = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
        return found[unique_id]

    return {models[unique_id]["name"]: fingerprint(unique_id) for unique_id in models}


def _increments(manifest: Mapping[str, Any]) -> list[str]:
    """The code that finds which rows to recompute, and replaces them: rows that it once left wrong would stay so."""
    regions = sorted(node["raw_code"] for node in models_of(manifest).values() if is_region(node))
    macros = {macro["unique_id"]: macro for macro in _macros(manifest, [_MATERIALIZATION])}
    macros |= {key: m for key, m in manifest["macros"].items() if m["original_file_path"].startswith(_REGION_MACROS)}
    return [*regions, *(macros[key]["macro_sql"] for key in sorted(macros))]


def _macros(manifest: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """This project's macros among some, and those that they use in turn."""
    found: dict[str, Mapping[str, Any]] = {}
    waiting = list(names)
    while waiting:
        macro = manifest["macros"].get(waiting.pop())
        if macro and macro["package_name"] == "avila" and macro["unique_id"] not in found:
            found[macro["unique_id"]] = macro
            waiting += macro["depends_on"]["macros"]
    return [found[name] for name in sorted(found)]
