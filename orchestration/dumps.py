"""What the lake's dumps must be before the warehouse takes them in.

A dump whose rows can all be read may still be wrong as a whole: a clock that runs ahead, a mapping that takes an id for
a name or cents for units. Each dump is measured once, on a bounded sample of its rows; the suite is asked of all that
are live, so that one which fails stays found until it is mended, replaced or filtered.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from orchestration import ledger
from orchestration.ingestion.catalog import Load
from orchestration.nights.stopwatch import utc_now
from orchestration.sql import literal

if TYPE_CHECKING:
    from ml.audit import Audit

ROWS_OF_A_DUMP, ROWS_OF_ALL = 200_000, 5_000_000
"""How many rows are looked at, about: of one dump, and of all that are measured at once."""
EARLIEST_YEAR = 1990
MAX_DAYS_AHEAD = 1.0
"""A local time taken for UTC is at most 14 hours ahead."""
MAX_SHARE_LATER_THAN_RECEIVED = 0.1
MAX_SHARE_REJECTED, FEWEST_ROWS = 0.5, 20
MAX_NAMES_PER_ROW, FEWEST_NAMED = 0.5, 1000
MAX_SHARE_OF_ONE_USER, FEWEST_IDENTIFIED, FEWEST_USERS = 0.5, 200, 20
MAX_SHARE_NO_CURRENCY, FEWEST_CURRENCIES = 0.05, 20
REVENUE_FACTOR, FEWEST_PRICES, FEWEST_DUMPS = 30.0, 30, 3
"""Cents for units are a factor of 100."""

_MEASURES = """
with rows as (
    select * from read_parquet([{files}]) where dump_row % {step} = 0
),
users as (
    select load_id, max(n) as of_one, sum(n) as identified, count(*) as users
    from (select load_id, user_id, count(*) as n from rows where user_id is not null group by all)
    group by load_id
),
measured as (
    select
        load_id,
        count(*) as rows,
        approx_count_distinct(event_name) as names,
        count(received_ts) as received,
        count(*) filter (event_ts > received_ts + interval 1 day) as later_than_received,
        count(currency) as currencies,
        count(*) filter (not regexp_full_match(currency, '[A-Za-z]{{3}}')) as no_currency,
        count(*) filter (revenue <> 0) as prices,
        cast(median(abs(revenue)) filter (revenue <> 0) as double) as price,
        case when count(distinct currency) filter (revenue <> 0) = 1
            then min(currency) filter (revenue <> 0) end as priced_in
    from rows
    group by load_id
)
select measured.*, users.of_one, users.identified, users.users
from measured left join users using (load_id)
"""


@dataclass(frozen=True, kw_only=True)
class Dumps:
    """The live dumps of a source, one row each.

    Attributes:
        source: The source.
        frame: `file`, and of each file what the suite looks at; null where a dump is too small to tell.
    """

    source: str
    frame: pd.DataFrame


def measure(connection: duckdb.DuckDBPyConnection, lake: Path, loads: Sequence[Load]) -> dict[str, dict[str, Any]]:
    """The measures of dumps by load, from the warehouse's ledger where they were taken before.

    Args:
        connection: The open warehouse.
        lake: The lake's directory.
        loads: Live loads of any source.
    """
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    query = "select work, outcome from increments.work_done where inputs = ? and starts_with(work, 'measures of ')"
    noted = dict(connection.execute(query, [version]).fetchall())
    known = {load.load_id: json.loads(noted[work]) for load in loads if (work := _work(load)) in noted}
    lacking = [load for load in loads if load.load_id not in known]
    least = -(-sum(load.rows for load in lacking) // ROWS_OF_ALL)
    steps = {load.load_id: max(-(-load.rows // ROWS_OF_A_DUMP), least, 1) for load in lacking}
    new: dict[str, dict[str, Any]] = {load.load_id: {} for load in lacking}
    for step in set(steps.values()):
        alike = [load.parquet_file for load in lacking if steps[load.load_id] == step and load.parquet_file]
        files = ", ".join(literal(lake / file) for file in alike)
        if files:
            found = connection.execute(_MEASURES.format(files=files, step=step))
            names = [column[0] for column in found.description or ()]
            new |= {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in found.fetchall()}
    for load in lacking:
        ledger.note(connection, _work(load), version, json.dumps(new[load.load_id], default=float))
    return known | new


def inputs_of(dumps: Dumps) -> str:
    """A fingerprint of all that decides what the suite finds."""
    return ledger.fingerprint_of(Path(__file__).read_text(), dumps.frame.to_json(), ledger.code_of("ml"))


def _work(load: Load) -> str:
    return f"measures of {load.load_id}"


def dumps_of(source: str, loads: Sequence[Load], measures: dict[str, dict[str, Any]]) -> Dumps:
    """What the suite looks at, of the live loads of one source."""
    rows: list[dict[str, Any]] = []
    # A hundred yen are no cents: dumps are compared with those in the same currency, and mixed ones with each other.
    prices: defaultdict[str | None, list[float]] = defaultdict(list)
    for load in sorted(loads, key=lambda load: load.load_seq):
        found = measures[load.load_id]
        of = _Shares(found)
        has_users = (found.get("users") or 0) >= FEWEST_USERS
        total = load.rows + load.rejected
        before = prices[found.get("priced_in")]
        usual = pd.Series(before[-100:]).median() if len(before) >= FEWEST_DUMPS else None
        price = found.get("price") if found.get("prices", 0) >= FEWEST_PRICES else None
        rows.append(
            {
                "file": load.file,
                "first_year": float(load.first_event_ts[:4]) if load.first_event_ts else None,
                "days_ahead": _days_ahead(load),
                "share_rejected": load.rejected / total if total >= FEWEST_ROWS else None,
                "names_per_row": of.share("names", "rows", FEWEST_NAMED),
                "share_later_than_received": of.share("later_than_received", "received", FEWEST_ROWS),
                "share_of_one_user": of.share("of_one", "identified", FEWEST_IDENTIFIED) if has_users else None,
                "share_without_currency_code": of.share("no_currency", "currencies", FEWEST_CURRENCIES),
                "times_the_usual_price": price / usual if price and usual else None,
            }
        )
        if price:
            before.append(price)
    frame = pd.DataFrame(rows, columns=["file", *_LIMITS])
    return Dumps(source=source, frame=frame.astype(dict.fromkeys(_LIMITS, "float64")))


@dataclass(frozen=True)
class _Shares:
    found: dict[str, Any]

    def share(self, part: str, whole: str, fewest: int) -> float | None:
        """A part of a whole; nothing where the whole is too small to tell."""
        of = self.found.get(whole) or 0
        return float(self.found.get(part) or 0) / float(of) if of >= fewest else None


def _days_ahead(load: Load) -> float | None:
    """How far a dump's last event was ahead of the clock when it was loaded, or is, where it was too far.

    A clock that was behind may have been set since, and an event that was to come may have come.
    """
    if load.last_event_ts is None:
        return None
    last, loaded = pd.Timestamp(load.last_event_ts), pd.Timestamp(load.loaded_at)
    ahead = (last - loaded) / pd.Timedelta(days=1)
    return ahead if ahead <= MAX_DAYS_AHEAD else min(ahead, (last - pd.Timestamp(utc_now())) / pd.Timedelta(days=1))


_LIMITS: dict[str, tuple[float | None, float | None, str, str]] = {
    "first_year": (
        EARLIEST_YEAR,
        None,
        f"an event is from before {EARLIEST_YEAR}",
        "Mend the expression for event_ts, or filter such rows with `where:`",
    ),
    "days_ahead": (
        None,
        MAX_DAYS_AHEAD,
        "an event is from more than a day after it was loaded, and the newest event is what all marts take for now",
        "Filter such rows with `where:`, mend the expression for event_ts, or set this machine's clock",
    ),
    "share_later_than_received": (
        None,
        MAX_SHARE_LATER_THAN_RECEIVED,
        f"over {MAX_SHARE_LATER_THAN_RECEIVED:.0%} of the events are from more than a day after they were received",
        "Check which of the dump's times event_ts and received_ts are, and their time zones",
    ),
    "share_rejected": (
        None,
        MAX_SHARE_REJECTED,
        f"over {MAX_SHARE_REJECTED:.0%} of a dump's rows are rejected",
        "`ops.rejects` says why; mend the expression, or fetch the dump again. A file that is no dump of this source "
        "counts until it is emptied or, with `removed_files: withdraw`, taken away",
    ),
    "names_per_row": (
        None,
        MAX_NAMES_PER_ROW,
        "nearly every event has a name of its own",
        "Map event_name to the column that says what happened, not to an id",
    ),
    "share_of_one_user": (
        None,
        MAX_SHARE_OF_ONE_USER,
        f"over {MAX_SHARE_OF_ONE_USER:.0%} of the identified events are of one user_id",
        "If it stands for nobody, add it to `identity: {placeholder_ids: […]}`, beside the default ones, which a list "
        "of your own replaces",
    ),
    "share_without_currency_code": (
        None,
        MAX_SHARE_NO_CURRENCY,
        f"over {MAX_SHARE_NO_CURRENCY:.0%} of the currencies are no code of three letters",
        "Map currency to ISO 4217 codes, such as BRL",
    ),
    "times_the_usual_price": (
        1 / REVENUE_FACTOR,
        REVENUE_FACTOR,
        f"the median revenue of an event is {REVENUE_FACTOR:g} times off that of the dumps before in its currency",
        "Check whether the expression for revenue takes cents for units",
    ),
}
"""By column: least, most, what is wrong beyond them, and the cure."""


def check_dumps(dumps: Dumps) -> "Audit":
    """Audits the dumps of a source, file by file."""
    from ml.audit import audit, great_expectations

    gxe = great_expectations().expectations
    suite = {
        fault: gxe.ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most)
        for column, (least, most, fault, _) in _LIMITS.items()
    }
    cures = {fault: f"{cure}; or let it pass with `gates: {{dumps: warn}}`." for _, _, fault, cure in _LIMITS.values()}
    return audit(dumps.frame, suite, keys=["file"], unit=f"dumps of {dumps.source}", cures=cures)
