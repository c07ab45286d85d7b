"""SQL expressions an analyst writes over a dump's columns: parsed, guarded, and renamed for evaluation."""

import copy
import json
import re
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

# What gives a part of its first argument.
_PARTS = {"STRUCT_EXTRACT", "ARRAY_EXTRACT", "ARRAY_SLICE", "->>", "json_extract", "json_extract_string", "json_value"}
_PARTS |= {"json_extract_path", "json_extract_path_text", "struct_extract", "list_extract", "array_extract"}
_PARTS |= {"element_at", "map_extract", "map_extract_value", "param"}

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


_TREES: dict[str, str] = {}
"""What DuckDB's parser made of a statement before, as JSON."""


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
        selected = self._statement["statements"][0]["node"]["select_list"]
        if selected[0].get("alias"):
            # To the parser the second word of a name is an alias without its `as`.
            meant = "" if re.search(r"\sas\s", text, re.IGNORECASE) else _meant(text)
            raise ExpressionError(
                f"expected one SQL expression{meant}" if meant else "leave out `as …`: the key already names the column"
            )
        selected[0] = self._node = _resolved(selected[0], self._expand)
        self._refuse_unsafe()

    def _parse(self, statement: str) -> dict[str, Any]:
        parsed = self._tree(statement)
        if parsed["error"]:
            raise ExpressionError(f"cannot be read as SQL: {parsed['error_message']}{_meant(self.text)}")
        nodes = [statement["node"] for statement in parsed["statements"]]
        plain = {**nodes[0], "select_list": None, "from_table": None} if nodes else {}
        expected = self._tree("select 1")["statements"][0]["node"]
        empty = {**expected, "select_list": None, "from_table": None}
        one = len(nodes) == 1 and len(nodes[0].get("select_list", [])) == 1
        if not one or plain != empty or nodes[0]["from_table"]["type"] != "EMPTY":
            raise ExpressionError("expected one SQL expression over the dump's columns, and nothing after it")
        return dict(parsed)

    def _tree(self, statement: str) -> dict[str, Any]:
        # The names of all canonical columns are read as expressions for each new shape of JSON.
        if statement not in _TREES:
            _TREES[statement] = self._scalar(f"select json_serialize_sql({literal(statement)})")
        return dict(json.loads(_TREES[statement], object_hook=_with_children))

    def _scalar(self, query: str) -> str:
        # No bound parameters: DuckDB imports pandas for them, which costs a second.
        return str(self._connection.execute(query).fetchall()[0][0])

    def _expand(self, template: str, nodes: dict[str, Any]) -> dict[str, Any]:
        """The tree of a template, in which nodes stand for the columns that it names."""
        expanded: dict[str, Any] = _filled(
            self._parse(f"select {template}")["statements"][0]["node"]["select_list"][0], nodes
        )
        return expanded

    def _refuse_unsafe(self) -> None:
        banned = _banned_functions()
        for node in _nodes(self._node):
            kind = node.get("class")
            if kind in _FORBIDDEN:
                meant = _meant(self.text) if kind == "PARAMETER" else ""
                raise ExpressionError(f"{_FORBIDDEN[kind]} is not allowed: an expression sees one row only{meant}")
            if kind == "FUNCTION" and node["function_name"].lower() in banned:
                raise ExpressionError(
                    f"{node['function_name']}() is not allowed: {banned[node['function_name'].lower()]}"
                )
            # Of one time alone, it is the time since then, though DuckDB calls it consistent.
            if kind == "FUNCTION" and node["function_name"].lower() == "age" and len(node["children"]) == 1:
                raise ExpressionError("age() of one time alone is not allowed: its result changes from run to run")

    @cached_property
    def references(self) -> frozenset[Reference]:
        """The columns it reads, each as its dotted parts: ``actor.login`` is ``('actor', 'login')``."""
        return frozenset(tuple(node["column_names"]) for node, _, _ in _column_nodes(self._node))

    @cached_property
    def whole(self) -> frozenset[Reference]:
        """Those of `references` that it reads the whole of, rather than parts picked by name, path or number."""
        return frozenset(tuple(node["column_names"]) for node, _, in_part in _column_nodes(self._node) if not in_part)

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
        for column, as_number, _ in list(_column_nodes(node)):
            column["column_names"] = [rename(tuple(column["column_names"]), as_number)]
        tree = literal(json.dumps(statement, ensure_ascii=False))
        return self._scalar(f"select json_deserialize_sql(cast({tree} as json))").removeprefix("SELECT ")


def _with_children(node: dict[str, Any]) -> dict[str, Any]:
    """The same node, with a function's arguments as its children: DuckDB 1 writes it so, and 2 still reads it."""
    if "arguments" in node:
        node["children"] = [argument["expression"] for argument in node.pop("arguments")]
        # It repeats catalog, schema and name, and would win over them.
        del node["qualified_name"]
    return node


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _filled(value: Any, nodes: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(child, nodes) for child in value]
    if not isinstance(value, dict):
        return value
    if value.get("class") == "COLUMN_REF":
        return copy.deepcopy(nodes[value["column_names"][0]])
    return {key: _filled(child, nodes) for key, child in value.items()}


def _resolved(value: Any, expand: Callable[[str, dict[str, Any]], dict[str, Any]], *, as_lambda: bool = False) -> Any:
    """The same tree, settled where DuckDB's parser leaves it to the binder what a text means.

    To the parser each `a -> b` is a lambda, and `a.f()` a function of the schema `a`. To the binder the first
    is a JSON operator unless a function wants a lambda there, and the second is `f(a)`. A time zone that there is
    none of is made a failure that `try` catches: that of `timezone` itself ends the whole query.
    """
    if isinstance(value, list):
        return [_resolved(child, expand) for child in value]
    if not isinstance(value, dict):
        return value
    node = {key: _resolved(child, expand) for key, child in value.items() if key != "children"}
    children = value.get("children")
    if value.get("class") == "FUNCTION" and value["schema"] not in ("", "main"):
        names = [name for name in (value["catalog"], value["schema"]) if name]
        children = [{"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": names}, *value["children"]]
        node |= {"catalog": "", "schema": ""}
    if children is not None:
        takes = value.get("class") == "FUNCTION" and value["function_name"].lower() in _functions_of_lambdas()
        node["children"] = [_resolved(c, expand, as_lambda=takes and i > 0) for i, c in enumerate(children)]
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


def _column_nodes(
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
            yield from _column_nodes(child, bound, as_number, in_part)
    if not isinstance(value, dict):
        return
    kind = value.get("class")
    if kind == "COLUMN_REF":
        if value["column_names"][0] not in bound:
            yield value, as_number, in_part or len(value["column_names"]) > 1
    elif kind == "LAMBDA":
        names = {n["column_names"][0] for n in _nodes(value["lhs"]) if n["class"] == "COLUMN_REF"}
        yield from _column_nodes(value["expr"], bound | names)
    elif kind in ("FUNCTION", "OPERATOR") and (value.get("function_name") or value["type"]) in _PARTS:
        first, *others = value["children"]
        yield from _column_nodes(first, bound, in_part=True)
        yield from _column_nodes(others, bound)
    else:
        inside = as_number if kind is None else _wants_numbers(value)
        for child in value.values():
            yield from _column_nodes(child, bound, inside, in_part)


def _wants_numbers(node: dict[str, Any]) -> bool:
    if node["class"] == "FUNCTION":
        return node["function_name"] in _ARITHMETIC
    if node["class"] in ("COMPARISON", "BETWEEN") or node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN"):
        constants = [n for n in _nodes(list(node.values())) if n["class"] == "CONSTANT"]
        return not any(_is_text(n) for n in constants)
    return False


def _is_text(constant: dict[str, Any]) -> bool:
    if "literal" in constant:
        # DuckDB 1 writes a truth value as the cast of a text.
        return constant["literal"]["kind"] in ("STRING", "BOOLEAN")
    return bool(constant["value"]["type"]["id"] == "VARCHAR")


def literal(text: str) -> str:
    """A SQL string."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def spelled(name: str) -> str:
    """A column's name as `avila.yml` spells it: quoted for SQL, and so for YAML, where it is no plain name of SQL."""
    return name if _is_plain(name) else literal(quoted(name))


def path_hint(said: str, text: str) -> str:
    """How a key that begins with `$` is written, where DuckDB took it for a path."""
    key = re.search(r"JSON path error near '([^']+)'", said)
    return f"; the key ${key[1]} is written '$.\"${key[1]}\"'" if key and f"'${key[1]}'" in text else ""


def _is_plain(name: str) -> bool:
    return bool(re.fullmatch(r"[^\W\d]\w*", name)) and name.casefold() not in _reserved_words()


def _meant(text: str) -> str:
    """A hint at quotes, where a text that is no SQL reads like the name of a column, or the path of a key."""
    name = text.strip()
    if not re.fullmatch(r"[\w$@#%/: .-]*[^\W\d][\w$@#%/: .-]*", name):
        return ""
    parts = name.split(".") if all(part.strip() for part in name.split(".")) else [name]
    plain = [_is_plain(part) or (place > 0 and part.isidentifier()) for place, part in enumerate(parts)]
    path = ".".join(part if is_plain else quoted(part) for part, is_plain in zip(parts, plain, strict=True))
    return f'; if it is a column, write {literal(path)}, and if a text, "{literal(name)}"'


@cache
def _reserved_words() -> frozenset[str]:
    """What DuckDB does not take for a column's name without quotes."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(word for (word,) in rows)


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
    # DuckDB calls these consistent.
    clocks = {"current_localtime", "current_localtimestamp"}
    banned |= dict.fromkeys(clocks, "its result changes from run to run")
    for name, kind, _ in rows:
        if name not in harmless:
            why = "its result changes from run to run" if kind == "scalar" else "an expression sees one row only"
            banned[name] = why
    return banned
