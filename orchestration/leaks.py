"""Whether features of the past are those that the events known then give: a proof on a sample of the data at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from orchestration.settings import Settings
from orchestration.sql import attached, literal
from orchestration.verify import RECOMPUTATION, room_beside, undisturbed
from orchestration.warehouse import connect, run_dbt

SAMPLE_USERS = 200
SNAPSHOTS = "features.user_snapshots"
WORKED_OUT = ("user_key", "activity_date", "identified_at", "identified_date", "earlier_user_key", "load_id")
"""Columns of identified events that are no event's own."""


@dataclass(frozen=True, kw_only=True)
class Recomputation:
    """What a recomputation of stored snapshots found.

    Attributes:
        as_of: The cutoff; None where the history has none that lies in the past.
        users: How many users were looked at.
        differing: Those whose snapshot is another, some of them.
        count: How many they are.
    """

    as_of: date | None
    users: int
    differing: tuple[str, ...]
    count: int


def recompute_snapshots(
    settings: Settings, variables: Mapping[str, Any], *, users: int = SAMPLE_USERS
) -> Recomputation:
    """Build the features of a few users as of a past cutoff from the events before it alone, and compare.

    Everything from the raw events on is built anew in a scratch warehouse beside the real one, which is only read: so
    neither what came after the cutoff nor how features are brought up to date can have changed anything.

    Args:
        settings: Where the warehouse lives.
        variables: What ``avila.yml`` declares, as dbt reads it.
        users: How many users to take; the same ones each time.

    Raises:
        DbtFailed: The rebuild failed.
        NotVerifiableError: A night has written the warehouse meanwhile, or is about to, or another process recomputes.
    """
    with room_beside(settings, RECOMPUTATION) as scratch, undisturbed(settings):
        scratch.lake.mkdir()
        as_of = _hand_over_past(settings, scratch, variables["reporting_timezone"], users)
        if as_of is None:
            return Recomputation(as_of=None, users=0, differing=(), count=0)
        run_dbt(["run", "--select", "+user_snapshots"], scratch, variables)
        return _compare(settings.warehouse, scratch.warehouse, as_of)


def _hand_over_past(settings: Settings, scratch: Settings, zone: str, users: int) -> date | None:
    """Put the events before a cutoff that may concern some users into a lake, and say which users; gives the cutoff."""
    with connect(scratch) as connection, attached(connection, settings.warehouse, "stored"):
        cutoffs = connection.execute(
            f"select distinct as_of from stored.{SNAPSHOTS} where as_of < (select max(as_of) from stored.{SNAPSHOTS}) "
            "order by as_of"
        ).fetchall()
        if not cutoffs:
            return None
        # The middle of the history: much is known by then, and much comes after.
        as_of: date = cutoffs[len(cutoffs) // 2][0]
        events = "stored.intermediate.int_events_identified"
        connection.execute(
            f"create table main.sample as select user_key from stored.{SNAPSHOTS} where as_of = ? "
            "order by hash(user_key) limit ?",
            [as_of, users],
        )
        # Whose an event is depends on all events of its device.
        connection.execute(
            f"create table main.devices as select distinct anonymous_id from {events} where anonymous_id is not null "
            "and (user_key in (from main.sample) or earlier_user_key in (from main.sample))"
        )
        columns = ", ".join(
            name for name, *_ in connection.execute(f"describe {events}").fetchall() if name not in WORKED_OUT
        )
        midnight = f"cast(timezone('{zone}', cast('{as_of}' as timestamp)) at time zone 'UTC' as timestamp)"
        path = scratch.lake / "past.parquet"
        # Somebody is about on the last day, so that the cutoff is the day after the data.
        connection.execute(
            f"""
            copy (
                select {columns}, 'past' as load_id from {events}
                where event_ts < {midnight}
                and (user_key in (from main.sample) or anonymous_id in (from main.devices))
                union all by name
                select
                    'last' as event_id, 'witness' as event_name, {midnight} - interval 1 microsecond as event_ts,
                    '(witness)' as user_id, '(witness)' as source, 'past' as load_id, '' as dump_file, 0 as dump_row
            ) to {literal(path)} (format parquet)
            """
        )
        connection.execute(
            "create table ops.loads as select 'past' as load_id, 1::bigint as load_seq, null::bigint as retired_seq, "
            "'past.parquet' as parquet_file"
        )
    return as_of


def _compare(stored: Path, recomputed: Path, as_of: date) -> Recomputation:
    with duckdb.connect(str(recomputed)) as connection, attached(connection, stored, "stored"):
        columns = ", ".join(f'"{name}"' for name, *_ in connection.execute(f"describe {SNAPSHOTS}").fetchall())
        mine, theirs = (
            f"(select {columns} from {catalog}{SNAPSHOTS} "
            f"where as_of = date '{as_of}' and user_key in (from main.sample))"
            for catalog in ("", "stored.")
        )
        differing = connection.execute(
            f"select distinct user_key from ((from {mine} except all from {theirs}) union all "
            f"(from {theirs} except all from {mine})) order by user_key"
        ).fetchall()
        count = connection.execute("select count(*) from main.sample").fetchall()[0][0]
    names = [user for (user,) in differing]
    return Recomputation(as_of=as_of, users=int(count), differing=tuple(names[:5]), count=len(names))
