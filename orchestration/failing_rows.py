"""Rows that a failed test of dbt found, in words: which days, users or keys, so that nobody has to run it again."""

from typing import Any

import duckdb

_EXAMPLES = 3
_LONGEST = 200
"""Characters of a row that are told: some tests find whole events."""


def told(connection: duckdb.DuckDBPyConnection, result: Any) -> str:
    """What a test that did not pass found, and the cure, where it names one.

    Args:
        connection: The open warehouse, as it was tested.
        result: dbt's, of the test.
    """
    node, message = result.node, (result.message or "").strip()
    if not result.failures:
        return message
    try:
        found = connection.execute(f"select * from (\n{node.compiled_code}\n) as found order by all limit {_EXAMPLES}")
        names = [column[0] for column in found.description or ()]
        rows = [_row(names, row) for row in found.fetchall()]
    except duckdb.Error:
        # What cannot be shown was found all the same.
        return message
    cure = node.config.meta.get("cure", "")
    such = f", such as {'; '.join(rows)}" if rows else ""
    return f"Rows that must not be: {result.failures:,}{such}.{' ' if cure else ''}{cure}"


def _row(names: list[str], row: tuple[Any, ...]) -> str:
    text = ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True) if value is not None)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
