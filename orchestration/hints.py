"""What a night's events say about `avila.yml`: names that match nothing, rows that count once, dates without a zone."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from orchestration.declarations import Declarations

MANY_COPIES = 0.2
_ANCHORS_OF_THEIR_OWN = ("first_seen", "first_key_event")


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What is known of one source.

    Attributes:
        rows: Rows in the lake.
        has_ids: Whether a dump of it has a column `event_id`.
        newest_rows: Rows of the newest dump, where it was looked at.
        newest_ids: How many ids those have.
        names: Events after de-duplication, by name.
        first: The first event, UTC without zone.
        dates_only: Whether every event stands at midnight UTC.
    """

    rows: int = 0
    has_ids: bool = False
    newest_rows: int = 0
    newest_ids: int = 0
    names: Mapping[str, int]
    first: datetime
    dates_only: bool


def arrived(connection: duckdb.DuckDBPyConnection, declarations: Declarations, lake: Path) -> dict[str, Arrived]:
    """Look at the warehouse's events, by source, and at the newest dump of those whose event_id is declared.

    Args:
        connection: The open warehouse.
        declarations: What `avila.yml` says.
        lake: Where the rows of dumps are.

    Returns:
        What arrived of each source; one without events is left out.
    """
    with_id = {name for name, source in declarations.sources.items() if "event_id" in source.columns}
    loads = connection.execute(
        """
        select
            source, sum(rows)::bigint,
            bool_or(list_contains(list_transform(json_keys(schema_columns), lambda k: lower(k)), 'event_id')),
            max_by(parquet_file, load_seq) filter (where parquet_file is not null)
        from ops.loads where status = 'live' group by source
        """
    ).fetchall()
    loaded = {
        source: (rows, has_ids, *(_ids_in(connection, lake / file) if file and source in with_id else (0, 0)))
        for source, rows, has_ids, file in loads
    }
    events = connection.execute(
        """
        with named as (
            select
                source, event_name, count(*) as events, min(event_ts) as first_ts,
                bool_and(event_ts = date_trunc('day', event_ts)) as dates_only
            from intermediate.int_events_identified group by source, event_name
        )
        select source, map(list(event_name), list(events)), min(first_ts), bool_and(dates_only)
        from named group by source order by source
        """
    ).fetchall()
    return {
        source: Arrived(
            rows=rows,
            has_ids=has_ids,
            newest_rows=newest_rows,
            newest_ids=newest_ids,
            names=names,
            first=first,
            dates_only=dates_only,
        )
        for source, names, first, dates_only in events
        for rows, has_ids, newest_rows, newest_ids in [loaded.get(source, (0, False, 0, 0))]
    }


def _ids_in(connection: duckdb.DuckDBPyConnection, file: Path) -> tuple[int, int]:
    """Rows, and how many ids they have."""
    query = "select count(*), count(distinct event_id) from read_parquet(?)"
    rows, ids = connection.execute(query, [str(file)]).fetchall()[0]
    return rows, ids


def names_without_events(declarations: Declarations, sources: Mapping[str, Arrived]) -> list[str]:
    """Declared names that no event has."""
    counts: dict[str, int] = {}
    for source in sources.values():
        for name, events in source.names.items():
            counts[name] = counts.get(name, 0) + events
    known = sorted(counts, key=lambda name: (-counts[name], name))
    return [
        f"no event is called {name!r} in any source ({', '.join(places)}); {_meant(name, known)}"
        for name, places in _declared_names(declarations).items()
        if name not in counts
    ]


def _declared_names(declarations: Declarations) -> dict[str, list[str]]:
    """Events that are asked for by name, and where."""
    said = declarations.model_fields_set
    names: dict[str, list[str]] = {}
    by_default = "" if "key_events" in said else " by default"
    for event in declarations.key_events:
        names.setdefault(event, []).append(f"key_events{by_default}")
    by_default = "" if "event" in declarations.conversion.model_fields_set else " by default"
    names.setdefault(declarations.conversion.event, []).append(f"conversion.event{by_default}")
    for title, funnel in declarations.funnels.items():
        events = [*(step.event for step in funnel.steps), *(exclusion.event for exclusion in funnel.exclusions)]
        for event in dict.fromkeys(event for event in events if event):
            names.setdefault(event, []).append(f"funnel {title}")
    if declarations.cohorts.anchor not in _ANCHORS_OF_THEIR_OWN:
        names.setdefault(declarations.cohorts.anchor, []).append("cohorts.anchor")
    return names


def _meant(name: str, known: Sequence[str]) -> str:
    folded = {other.casefold(): other for other in reversed(known)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    more = f" and {len(known) - 5:,} more" if len(known) > 5 else ""
    return f"events are called {', '.join(map(repr, known[:5]))}{more}"


def many_copies(declarations: Declarations, sources: Mapping[str, Arrived]) -> list[str]:
    """Sources of whose rows many count once with others: for want of ids, or as what is declared for one is none.

    Ids that come again in another dump are what ids are for.
    """
    said = []
    for name, source in sources.items():
        declared = declarations.sources.get(name)
        if declared is None:
            continue
        copies, shared = source.rows - sum(source.names.values()), source.newest_rows - source.newest_ids
        if "event_id" in declared.columns and shared > MANY_COPIES * source.newest_rows:
            said.append(
                f"source {name}: {shared:,} of the {source.newest_rows:,} rows of its newest dump "
                f"({shared / source.newest_rows:.0%}) have the event_id of another there and count once with it; if "
                f"they are events of their own, such as the items of one order, let `event_id:` under `columns:` tell "
                f"them apart, as in \"concat_ws('-', order_id, item_id)\""
            )
        elif not source.has_ids and "event_id" not in declared.columns and copies > MANY_COPIES * source.rows:
            said.append(
                f"source {name}: {copies:,} of {source.rows:,} rows ({copies / source.rows:.0%}) are copies of another "
                f"and count once, since it has no event_id; if they are events of their own, add to `columns:` an "
                f"`event_id:` that tells them apart"
            )
    return said


def dates_without_zone(declarations: Declarations, sources: Mapping[str, Arrived]) -> list[str]:
    """Sources of dates alone that no zone was declared for, where the day is another in the reporting zone."""
    said = []
    reporting = declarations.reporting_timezone
    for name, source in sources.items():
        declared = declarations.sources.get(name)
        if declared is None or "timezone" in declared.model_fields_set or not source.dates_only:
            continue
        there = source.first.replace(tzinfo=UTC).astimezone(ZoneInfo(reporting))
        if there.date() != source.first.date():
            said.append(
                f"source {name}: every event stands at 00:00 UTC, which is {there:%H:%M} of the day before in "
                f"{reporting}; if its dumps hold dates of {reporting}, declare `timezone: {reporting}` for it"
            )
    return said
