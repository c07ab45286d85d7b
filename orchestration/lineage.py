"""Which columns a model's columns are worked out from, read off its SQL.

Working it out takes a second for a dozen models, and it changes only with the definitions: so it is kept beside dbt's
manifest, by the fingerprint of the definition it was read from.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from orchestration.disk import put

Column = tuple[str, str, str]
"""Schema, table and column."""


class LineageBook:
    """The lineage of the models' columns, as far as it is known.

    Args:
        path: Where it is kept from night to night.
        fingerprints: Of the models' definitions as they are now, by name.
        say: Told of SQL that cannot be read; what is shown of a table is no reason for a night to fail.
    """

    def __init__(self, path: Path, fingerprints: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._path, self._fingerprints, self._say = path, fingerprints, say
        kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self._kept = {name: entry for name, entry in kept.items() if entry["fingerprint"] == fingerprints.get(name)}
        self._is_changed = len(self._kept) < len(kept)

    def read(self, connection: duckdb.DuckDBPyConnection, model: str, sql: str) -> None:
        """Learn a model's lineage from its compiled SQL, unless it is known already.

        Args:
            connection: To the warehouse that has the tables it reads.
            model: Its name.
            sql: One query over tables with their schemas.
        """
        if model in self._kept:
            return
        try:
            columns = {column: sorted(found) for column, found in column_lineage(connection, sql).items()}
        except ValueError as error:
            self._say(f"{model}: its columns cannot be followed to those they come from: {error}")
            return
        self._kept[model] = {"fingerprint": self._fingerprints[model], "columns": columns}
        self._is_changed = True

    def of(self, model: str) -> dict[str, list[Column]]:
        """For each column of a model, the columns of tables that it is worked out from; empty if not known."""
        columns = self._kept.get(model, {}).get("columns", {})
        return {column: [tuple(source) for source in sources] for column, sources in columns.items()}

    def keep(self) -> None:
        """Write down what was learnt."""
        if self._is_changed:
            put(self._path, json.dumps(self._kept))


def column_lineage(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, set[Column]]:
    """For each column of a query, the columns of tables that its values are worked out from.

    Filters and join conditions do not count: they decide which rows there are, not what is in them.

    Args:
        connection: To a database that has the tables.
        sql: One query over tables with their schemas.

    Raises:
        ValueError: It cannot be parsed.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        query = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(str(error)) from error
    schema = _columns(connection, {(table.db, table.name) for table in query.find_all(exp.Table) if table.db})
    query = qualify(query, schema=schema, dialect="duckdb", validate_qualify_columns=False, identify=False)
    assert isinstance(query, exp.Query)
    scope = build_scope(query)
    found: dict[str, set[Column]] = {}
    for column in query.named_selects:
        steps = lineage(column, query, schema, scope=scope, dialect="duckdb", copy=False, trim_selects=False).walk()
        ends = [(step.expression.find(exp.Table), step.name.split(".")[-1]) for step in steps if not step.downstream]
        # Of a file's columns nothing is known: a star stays a star.
        found[column] = {
            (table.db, table.name, source.strip('"')) for table, source in ends if table is not None and source != "*"
        }
    return found


def _columns(connection: duckdb.DuckDBPyConnection, tables: set[tuple[str, str]]) -> dict[str, object]:
    """The columns of some tables and their types, as sqlglot wants to be told of them: by database, schema, table."""
    schema: dict[str, Any] = {}
    for database, in_schema, table, column, kind in connection.execute(
        "select table_catalog, table_schema, table_name, column_name, data_type from information_schema.columns"
    ).fetchall():
        if (in_schema, table) in tables:
            schema.setdefault(database, {}).setdefault(in_schema, {}).setdefault(table, {})[column] = kind
    return schema
