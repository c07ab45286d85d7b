"""SQL that an analyst declares, checked before it runs: conditions on events and sessions, and values of events."""

import difflib
import re
from functools import cache

import duckdb

from orchestration.ingestion.expressions import Expression, ExpressionError, path_hint
from orchestration.ingestion.sources import EVENT_COLUMNS

CHANNEL_COLUMNS = dict.fromkeys(
    ("source", "medium", "campaign", "referrer_site", "entry_page", "platform", "country"), "varchar"
)
"""What a rule of a channel may look at, of a session."""

_CLOCKS = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""What tells the time, though to DuckDB's parser it reads like a column."""


@cache
def _binder() -> duckdb.DuckDBPyConnection:
    """A connection that knows the columns of an event and of a session, and one of either of which nothing is known."""
    forbidden = ("autoinstall_known_extensions", "autoload_known_extensions", "enable_external_access")
    connection = duckdb.connect(config=dict.fromkeys(forbidden, False))
    for table, columns in {"event": {"user_key": "varchar", **EVENT_COLUMNS}, "session": CHANNEL_COLUMNS}.items():
        connection.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
        connection.execute(f"insert into {table} ({next(iter(columns))}) values (null)")
    return connection


def event_condition(value: str | None) -> str | None:
    """Check a condition on an event.

    Raises:
        ValueError: It is none; the message offers the nearest column.
    """
    return None if value is None else _condition(value, of="an event", columns=[*EVENT_COLUMNS])


def session_condition(value: str) -> str:
    """Check a condition on a session, by what is known of where it came from.

    Raises:
        ValueError: It is none; the message offers the nearest column.
    """
    return _condition(value, of="a session", columns=[*CHANNEL_COLUMNS])


def event_value(value: str) -> str:
    """Check that an expression has one value for every event, by itself.

    Raises:
        ValueError: It has none; the message offers the nearest column.
    """
    _type(value, of="an event", columns=[*EVENT_COLUMNS], what="value")
    return value


def _condition(value: str, *, of: str, columns: list[str]) -> str:
    kind = _type(value, of=of, columns=columns, what="condition")
    if kind != "BOOLEAN":
        raise ValueError(f"`{value}` is no condition: it is a {kind.lower()}, not true or false")
    return value


def _type(value: str, *, of: str, columns: list[str], what: str) -> str:
    """The SQL type of an expression over the columns of an event or a session."""
    table, bond = of.split()[-1], "on" if what == "condition" else "of"
    try:
        select = f"select ({value}) as {what} from {table}"
        described = _binder().execute(f"describe {select}").fetchall()
        # A text that is no number or time, beside a column that is one, shows only by working it out.
        _binder().execute(select).fetchall()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        if unknown := re.search(r'column "([^"]+)" not found', said):
            near = difflib.get_close_matches(unknown[1].casefold(), columns, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(columns)};"
            elsewhere = f" What else a dump holds is in the JSON of properties: properties->>'{unknown[1]}'"
            hint += elsewhere if of == "an event" else ""
            if f'"{unknown[1]}"' in value:
                hint = f"for the text {unknown[1]} write '{unknown[1]}', as double quotes are for names; {hint}"
            raise ValueError(f"{of} has no column {unknown[1]}; {hint}") from None
        key = re.search(r"""Cannot extract field '([^']+)' from expression "properties\"""", said)
        hint = f"; write properties->>'{key[1]}'" if key else path_hint(said, value)
        raise ValueError(f"`{value}` is no {what} {bond} {of}: {said}{hint}") from None
    try:
        # A condition on a row admits neither an aggregate nor a window.
        _binder().execute(f"describe select 1 from {table} where ({value}) is null")
    except duckdb.Error:
        raise ValueError(f"`{value}` is a {what} {bond} several {table}s, not {bond} one") from None
    # What the clock or chance decides would not come out alike in an increment and in a full rebuild.
    try:
        named = {reference[0].casefold() for reference in Expression(value, _binder()).references}
    except ExpressionError as error:
        raise ValueError(f"`{value}`: {error}") from None
    for clock in sorted(_CLOCKS & named):
        raise ValueError(f"`{value}`: {clock} is not allowed: its result changes from run to run")
    # Where a row is stored, and what a table is called, are not the same in an increment and in a full rebuild.
    for name in sorted({"rowid", table} & named):
        raise ValueError(f"{of} has no column {name}; known: {', '.join(columns)}")
    return str(described[0][1])
