"""SQL expressions an analyst writes over a dump's columns: parsed, guarded, and renamed for evaluation."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache, cached_property
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

_ARITHMETIC = {"+", "-", "*", "/", "//", "%", "**", "^"}

HELPERS = (
    """
    create macro url_path(url) as
        nullif(regexp_extract(url, '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*(/[^?#]*)', 1), '')
    """,
    """
    create macro param_value(param) as coalesce(
        json_extract_string(param, '$.value.string_value'), json_extract_string(param, '$.value.int_value'),
        json_extract_string(param, '$.value.double_value'), json_extract_string(param, '$.value.float_value'))
    """,
    """
    create macro param(params, name) as param_value(
        list_filter(cast(params as json[]), lambda p: json_extract_string(p, '$.key') = name)[1])
    """,
    """
    create macro params(params) as to_json(map_from_entries(list_transform(cast(params as json[]),
        lambda p: struct_pack(k := json_extract_string(p, '$.key'), v := param_value(p)))))
    """,
)
"""Functions that expressions have besides DuckDB's own.

``url_path('https://a.io/b?c')`` is ``/b``. ``param(event_params, 'x')`` is the value of a GA4 parameter, in
whichever of its typed fields it is, and ``params(event_params)`` a JSON object of them all.
"""

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
        parsed = json.loads(self._scalar(f"select json_serialize_sql({literal(statement)})"))
        if parsed["error"]:
            raise ExpressionError(f"cannot be read as SQL: {parsed['error_message']}")
        nodes = [statement["node"] for statement in parsed["statements"]]
        plain = {**nodes[0], "select_list": None, "from_table": None} if nodes else {}
        expected = json.loads(self._scalar("select json_serialize_sql('select 1')"))["statements"][0]["node"]
        empty = {**expected, "select_list": None, "from_table": None}
        one = len(nodes) == 1 and len(nodes[0].get("select_list", [])) == 1
        if not one or plain != empty or nodes[0]["from_table"]["type"] != "EMPTY":
            raise ExpressionError("expected one SQL expression over the dump's columns, and nothing after it")
        return dict(parsed)

    def _scalar(self, query: str) -> str:
        # No bound parameters: DuckDB imports pandas for them, which costs a second.
        return str(self._connection.execute(query).fetchall()[0][0])

    def _refuse_unsafe(self) -> None:
        banned = _banned_functions()
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
        return frozenset(tuple(node["column_names"]) for node, _ in _column_nodes(self._node))

    @property
    def bare(self) -> Reference | None:
        """The column it is, when it is nothing but a column's name."""
        return tuple(self._node["column_names"]) if self._node["class"] == "COLUMN_REF" else None

    def render(self, rename: Callable[[Reference, bool], str]) -> str:
        """The same expression with every column renamed.

        Args:
            rename: Gives the new name for a reference's parts, and whether it stands where a number is
                wanted: in arithmetic, or compared with something that is no text.
        """
        statement = copy.deepcopy(self._statement)
        node = statement["statements"][0]["node"]["select_list"][0]
        for column, as_number in list(_column_nodes(node)):
            column["column_names"] = [rename(tuple(column["column_names"]), as_number)]
        tree = literal(json.dumps(statement, ensure_ascii=False))
        return self._scalar(f"select json_deserialize_sql(cast({tree} as json))").removeprefix("SELECT ")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _column_nodes(
    value: Any,
    bound: frozenset[str] = frozenset(),
    as_number: bool = False,
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Find column references, passing over the parameters of lambdas, and whether each is used as a number."""
    if isinstance(value, list):
        for child in value:
            yield from _column_nodes(child, bound, as_number)
    if not isinstance(value, dict):
        return
    kind = value.get("class")
    if kind == "COLUMN_REF":
        if value["column_names"][0] not in bound:
            yield value, as_number
    elif kind == "LAMBDA":
        names = {n["column_names"][0] for n in _nodes(value["lhs"]) if n["class"] == "COLUMN_REF"}
        yield from _column_nodes(value["expr"], bound | names)
    else:
        inside = as_number if kind is None else _wants_numbers(value)
        for child in value.values():
            yield from _column_nodes(child, bound, inside)


def _wants_numbers(node: dict[str, Any]) -> bool:
    if node["class"] == "FUNCTION":
        return node["function_name"] in _ARITHMETIC
    if node["class"] in ("COMPARISON", "BETWEEN") or node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN"):
        constants = [n for n in _nodes(list(node.values())) if n["class"] == "CONSTANT"]
        return not any(n["value"]["type"]["id"] == "VARCHAR" for n in constants)
    return False


def literal(text: str) -> str:
    """A SQL string."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


@cache
def _banned_functions() -> dict[str, str]:
    """Functions whose result does not depend on the row alone, with the reason to refuse each."""
    connection = duckdb.connect()
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
    connection.close()
    harmless = {name for (name,) in scalar}
    settings = {"getenv", "getvariable", "current_setting", "unnest", "query", "query_table"}
    banned = dict.fromkeys(settings, "it reads more than its own row")
    for name, kind, _ in rows:
        if name not in harmless:
            why = "its result changes from run to run" if kind == "scalar" else "an expression sees one row only"
            banned[name] = why
    return banned
