"""The syntax trees of expressions, as DuckDB's parser tells them in JSON and as they are settled here."""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import duckdb

from orchestration.sql import literal

_ARITHMETIC = {"+", "-", "*", "/", "//", "%", "**", "^"}

# What gives a part of its first argument.
_PARTS = {"STRUCT_EXTRACT", "ARRAY_EXTRACT", "ARRAY_SLICE", "->>", "json_extract", "json_extract_string", "json_value"}
_PARTS |= {"json_extract_path", "json_extract_path_text", "struct_extract", "list_extract", "array_extract"}
_PARTS |= {"element_at", "map_extract", "map_extract_value", "param"}


def with_children(node: dict[str, Any]) -> dict[str, Any]:
    """The same node, with a function's arguments as its children: DuckDB 1 writes it so, and 2 still reads it."""
    if "arguments" in node:
        node["children"] = [argument["expression"] for argument in node.pop("arguments")]
        # It repeats catalog, schema and name, and would win over them.
        del node["qualified_name"]
    return node


def nodes_of(value: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a tree, from its root on."""
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from nodes_of(child)
    elif isinstance(value, list):
        for child in value:
            yield from nodes_of(child)


def filled(value: Any, nodes: dict[str, Any]) -> Any:
    """A tree in which nodes stand for the columns of their names."""
    if isinstance(value, list):
        return [filled(child, nodes) for child in value]
    if not isinstance(value, dict):
        return value
    if value.get("class") == "COLUMN_REF":
        return copy.deepcopy(nodes[value["column_names"][0]])
    return {key: filled(child, nodes) for key, child in value.items()}


def resolved(value: Any, expand: Callable[[str, dict[str, Any]], dict[str, Any]], *, as_lambda: bool = False) -> Any:
    """The same tree, settled where DuckDB's parser leaves it to the binder what a text means.

    To the parser each `a -> b` is a lambda, and `a.f()` a function of the schema `a`. To the binder the first
    is a JSON operator unless a function wants a lambda there, and the second is `f(a)`. A time zone that there is
    none of is made a failure that `try` catches: that of `timezone` itself ends the whole query.
    """
    if isinstance(value, list):
        return [resolved(child, expand) for child in value]
    if not isinstance(value, dict):
        return value
    node = {key: resolved(child, expand) for key, child in value.items() if key != "children"}
    children = value.get("children")
    if value.get("class") == "FUNCTION" and value["schema"] not in ("", "main"):
        names = [name for name in (value["catalog"], value["schema"]) if name]
        children = [{"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": names}, *value["children"]]
        node |= {"catalog": "", "schema": ""}
    if children is not None:
        takes = value.get("class") == "FUNCTION" and value["function_name"].lower() in _functions_of_lambdas()
        node["children"] = [resolved(c, expand, as_lambda=takes and i > 0) for i, c in enumerate(children)]
    if value.get("class") == "LAMBDA" and not as_lambda:
        return expand("json_extract(document, path)", {"document": node["lhs"], "path": node["expr"]})
    if value.get("class") == "LAMBDA":
        # DuckDB 2 takes an arrow for a lambda no more.
        node["syntax_type"] = "LAMBDA_KEYWORD"
    if value.get("class") == "FUNCTION" and value["function_name"].lower() == "timezone" and len(node["children"]) == 2:
        zone, time = node["children"]
        if zone["class"] != "CONSTANT":
            node["children"] = [expand(_known_zone(), {"zone": zone}), time]
    return node


def columns_of(
    value: Any,
    bound: frozenset[str] = frozenset(),
    as_number: bool = False,
    in_part: bool = False,
) -> Iterator[tuple[dict[str, Any], bool, bool]]:
    """Find column references, passing over the parameters of lambdas.

    With each comes whether it is used as a number, and whether no more than a part of it is.
    """
    if isinstance(value, list):
        for child in value:
            yield from columns_of(child, bound, as_number, in_part)
    if not isinstance(value, dict):
        return
    kind = value.get("class")
    if kind == "COLUMN_REF":
        if value["column_names"][0] not in bound:
            yield value, as_number, in_part or len(value["column_names"]) > 1
    elif kind == "LAMBDA":
        names = {n["column_names"][0] for n in nodes_of(value["lhs"]) if n["class"] == "COLUMN_REF"}
        yield from columns_of(value["expr"], bound | names)
    elif kind in ("FUNCTION", "OPERATOR") and (value.get("function_name") or value["type"]) in _PARTS:
        first, *others = value["children"]
        yield from columns_of(first, bound, in_part=True)
        yield from columns_of(others, bound)
    else:
        inside = as_number if kind is None else _wants_numbers(value)
        for child in value.values():
            yield from columns_of(child, bound, inside, in_part)


def compared_in(value: Any) -> Iterator[tuple[set[tuple[str, ...]], set[tuple[str, ...]]]]:
    """For each comparison without a constant: the columns that it compares, and all that are in what it compares."""
    for node in nodes_of(value):
        if not _compares(node) or any(n["class"] == "CONSTANT" for n in nodes_of(node)):
            continue
        operands = [child for child in (*node.values(), *node.get("children", [])) if isinstance(child, dict)]
        columns = {tuple(o["column_names"]) for o in operands if o["class"] == "COLUMN_REF"}
        yield columns, {tuple(column["column_names"]) for column, _, _ in columns_of(operands)}


def _compares(node: dict[str, Any]) -> bool:
    return node["class"] in ("COMPARISON", "BETWEEN") or node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN")


def _wants_numbers(node: dict[str, Any]) -> bool:
    if node["class"] == "FUNCTION":
        return node["function_name"] in _ARITHMETIC
    if _compares(node):
        constants = [n for n in nodes_of(list(node.values())) if n["class"] == "CONSTANT"]
        return not any(_is_text(n) for n in constants)
    return False


def _is_text(constant: dict[str, Any]) -> bool:
    if "literal" in constant:
        # DuckDB 1 writes a truth value as the cast of a text.
        return constant["literal"]["kind"] in ("STRING", "BOOLEAN")
    return bool(constant["value"]["type"]["id"] == "VARCHAR")


@cache
def _known_zone() -> str:
    """SQL for a time zone's name, which fails where DuckDB knows none of that name, nor such an offset."""
    with duckdb.connect() as connection:
        names = connection.execute("select lower(name) from pg_timezone_names() order by name").fetchall()
    listed = ", ".join(literal(name) for (name,) in names)
    # Of an offset DuckDB takes the hours alone, whatever minutes it has.
    offset = r"UTC(\+(0?\d|1[0-4])|-(0?\d|1[0-2]))(:00)?"
    return (
        f"case when zone is null or contains([{listed}], lower(zone)) or regexp_full_match(zone, {literal(offset)}) "
        "then zone else cast(cast(zone || ' is no time zone' as integer) as varchar) end"
    )


@cache
def _functions_of_lambdas() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select lower(function_name) from duckdb_functions() where list_contains(parameter_types, 'LAMBDA')"
        ).fetchall()
    return frozenset(name for (name,) in rows)
