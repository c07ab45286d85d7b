"""SQL expressions an analyst writes over a dump's columns: parsed, guarded, and renamed for evaluation."""

import copy
import json
import re
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import duckdb

from orchestration.ingestion.syntax import columns_of, compared_in, filled, nodes_of, resolved, with_children
from orchestration.sql import literal, quoted

# Node classes that would read other rows or relations; a mapping sees one row and nothing else.
_FORBIDDEN = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "`*`",
    "PARAMETER": "a parameter",
    "DEFAULT": "`default`",
    "POSITIONAL_REFERENCE": "a positional reference",
}

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
        selected[0] = self._node = resolved(selected[0], self._expand)
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
        return dict(json.loads(_TREES[statement], object_hook=with_children))

    def _scalar(self, query: str) -> str:
        # No bound parameters: DuckDB imports pandas for them, which costs a second.
        return str(self._connection.execute(query).fetchall()[0][0])

    def _expand(self, template: str, nodes: dict[str, Any]) -> dict[str, Any]:
        """The tree of a template, in which nodes stand for the columns that it names."""
        expanded: dict[str, Any] = filled(
            self._parse(f"select {template}")["statements"][0]["node"]["select_list"][0], nodes
        )
        return expanded

    def _refuse_unsafe(self) -> None:
        banned = _banned_functions()
        for node in nodes_of(self._node):
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
        return frozenset(tuple(node["column_names"]) for node, _, _ in columns_of(self._node))

    @cached_property
    def whole(self) -> frozenset[Reference]:
        """Those of `references` that it reads the whole of, rather than parts picked by name, path or number."""
        return frozenset(tuple(node["column_names"]) for node, _, in_part in columns_of(self._node) if not in_part)

    def texts(self, kind: Callable[[Reference], str]) -> frozenset[Reference]:
        """The columns that are compared with a text, in comparisons of columns alone.

        DuckDB would cast the text to the number that it is compared with, and fail on the row.

        Args:
            kind: What the sample shows of a column: ``text``, or ``empty`` where it shows nothing.
        """
        found: set[Reference] = set()
        for columns, inside in compared_in(self._node):
            if any(kind(column) == "text" for column in columns):
                found |= columns
            elif any(kind(column) == "text" for column in inside):
                found |= {column for column in columns if kind(column) == "empty"}
        return frozenset(found)

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
        for column, as_number, _ in list(columns_of(node)):
            column["column_names"] = [rename(tuple(column["column_names"]), as_number)]
        tree = literal(json.dumps(statement, ensure_ascii=False))
        return self._scalar(f"select json_deserialize_sql(cast({tree} as json))").removeprefix("SELECT ")


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
