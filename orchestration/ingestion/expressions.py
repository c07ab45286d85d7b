"""SQL expressions an analyst writes over a dump's columns: parsed, guarded, and renamed for evaluation."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import duckdb

# Node classes that would read other rows or relations; a mapping sees one row and nothing else.
_FORBIDDEN = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "`*`",
    "PARAMETER": "a parameter",
    "DEFAULT": "`default`",
    "POSITIONAL_REFERENCE": "a positional reference",
}

Reference = tuple[str, ...]


class ExpressionError(Exception):
    """An expression that cannot be read or may not be used; the message says why and what to do."""


class Expression:
    """One scalar SQL expression over the columns of a dump.

    Parsing and printing are DuckDB's own, so whatever DuckDB understands is understood here, and nothing
    that hides in a comment or behind a semicolon survives.

    Args:
        text: The expression, such as ``Quantity * UnitPrice``.
        connection: Any DuckDB connection; nothing is executed but the parser.

    Raises:
        ExpressionError: Not one scalar expression, or one that reads more than its own row.
    """

    def __init__(self, text: str, connection: duckdb.DuckDBPyConnection) -> None:
        self.text = text
        self._connection = connection
        self._statement = self._parse(f"select {text}\n")
        self._node = self._statement["statements"][0]["node"]["select_list"][0]
        if self._node.get("alias"):
            raise ExpressionError("leave out `as …`: the key already names the column")
        self._refuse_unsafe()

    def _parse(self, statement: str) -> dict[str, Any]:
        parsed = json.loads(self._rows("select json_serialize_sql(cast(? as varchar))", statement)[0][0])
        if parsed["error"]:
            raise ExpressionError(f"cannot be read as SQL: {parsed['error_message']}")
        nodes = [statement["node"] for statement in parsed["statements"]]
        plain = {**nodes[0], "select_list": None, "from_table": None} if nodes else {}
        bare = self._rows("select json_serialize_sql('select 1')")[0][0]
        expected = json.loads(bare)["statements"][0]["node"]
        empty = {**expected, "select_list": None, "from_table": None}
        one = len(nodes) == 1 and len(nodes[0].get("select_list", [])) == 1
        if not one or plain != empty or nodes[0]["from_table"]["type"] != "EMPTY":
            raise ExpressionError("expected one SQL expression over the dump's columns, and nothing after it")
        return dict(parsed)

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, list(parameters)).fetchall()

    def _refuse_unsafe(self) -> None:
        banned = _banned_functions(self._connection)
        for node in _nodes(self._node):
            kind = node.get("class")
            if kind in _FORBIDDEN:
                raise ExpressionError(f"{_FORBIDDEN[kind]} is not allowed: an expression sees one row only")
            if kind == "FUNCTION" and node["function_name"].lower() in banned:
                raise ExpressionError(
                    f"{node['function_name']}() is not allowed: {banned[node['function_name'].lower()]}"
                )

    @cached_property
    def references(self) -> frozenset[Reference]:
        """The columns it reads, each as its dotted parts: ``actor.login`` is ``('actor', 'login')``."""
        return frozenset(tuple(node["column_names"]) for node in _column_nodes(self._node, frozenset()))

    @property
    def bare(self) -> Reference | None:
        """The column it is, when it is nothing but a column's name."""
        return tuple(self._node["column_names"]) if self._node["class"] == "COLUMN_REF" else None

    def render(self, rename: Callable[[Reference], list[str]]) -> str:
        """The same expression with every column renamed.

        Args:
            rename: From a reference's parts to the new parts.
        """
        statement = copy.deepcopy(self._statement)
        node = statement["statements"][0]["node"]["select_list"][0]
        for column in _column_nodes(node, frozenset()):
            column["column_names"] = rename(tuple(column["column_names"]))
        printed = self._rows("select json_deserialize_sql(cast(? as json))", json.dumps(statement))[0][0]
        return str(printed).removeprefix("SELECT ")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _column_nodes(value: Any, bound: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Find column references, passing over the parameters of enclosing lambdas."""
    if isinstance(value, dict):
        if value.get("class") == "COLUMN_REF":
            if value["column_names"][0] not in bound:
                yield value
            return
        if value.get("class") == "LAMBDA":
            names = {
                node["column_names"][0] for node in _nodes(value["lhs"]) if node["class"] == "COLUMN_REF"
            }
            yield from _column_nodes(value["expr"], bound | names)
            return
        for child in value.values():
            yield from _column_nodes(child, bound)
    elif isinstance(value, list):
        for child in value:
            yield from _column_nodes(child, bound)


def _banned_functions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Functions whose result does not depend on the row alone, with the reason to refuse each."""
    rows = connection.execute(
        """
        select distinct lower(function_name), function_type, stability
        from duckdb_functions()
        where function_type in ('aggregate', 'table', 'pragma')
            or stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')
        """
    ).fetchall()
    scalar = connection.execute(
        """
        select distinct lower(function_name)
        from duckdb_functions()
        where function_type in ('scalar', 'macro') and coalesce(stability, 'CONSISTENT') = 'CONSISTENT'
        """
    ).fetchall()
    harmless = {name for (name,) in scalar}
    settings = {"getenv", "getvariable", "current_setting", "unnest", "query", "query_table"}
    banned = dict.fromkeys(settings, "it reads more than its own row")
    for name, kind, _ in rows:
        if name not in harmless:
            why = (
                "its result changes from run to run"
                if kind == "scalar"
                else "an expression sees one row only"
            )
            banned[name] = why
    return banned
