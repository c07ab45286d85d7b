"""Retention of thousands of fuzzed users, cell by cell, as ClickHouse counts it with its function `retention`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chdb
import numpy as np
import pandas as pd
import pytest

from tests.conftest import BuildWarehouse, cohorts, mostly_slow

USERS = 3_000
ZONE = "Asia/Kathmandu"
SPANS = [("0", 0, 0), ("1-1", 1, 1), ("1-7", 1, 7), ("8-14", 8, 14), ("15-30", 15, 30), ("31-93", 31, 93)]
ANCHORS = {
    "first_seen": "true",
    "first_key_event": "event_name in ('purchase', 'renewal')",
    "sign_up": "event_name = 'sign_up'",
}
PERIODS = {"day": "date", "week": "toMonday(date)", "month": "toStartOfMonth(date)"}
MOST_CONDITIONS = 32
"""So many at most may be given to `retention`."""


def fuzzed(seed: int) -> pd.DataFrame:
    """Users over a hundred days, with days that come twice, ties, and moments close to midnight."""
    generator = np.random.default_rng(seed)
    rows = USERS * 8
    users = generator.integers(0, USERS, rows)
    days = (generator.integers(0, 60, USERS)[users] + generator.exponential(12, rows)).astype("int64").clip(max=99)
    # Midnight there is at 18:15 UTC.
    seconds = generator.choice([0, 65_699, 65_700, 65_701, 86_399, 40_000], rows)
    return pd.DataFrame(
        {
            "user_id": [f"user{number}" for number in users],
            "event_ts": pd.Timestamp("2024-12-20") + pd.to_timedelta(86_400 * days + seconds, unit="s"),
            "event_name": generator.choice(["view", "view", "sign_up", "purchase", "renewal"], rows),
        }
    )


class ClickHouse:
    """The same events, in ClickHouse."""

    def __init__(self, events: pd.DataFrame, root: Path) -> None:
        self._file = root / "events.parquet"
        events.to_parquet(self._file, index=False)

    def retained(self, anchor: str, period: str, number: str, conditions: list[str]) -> dict[str, list[int]]:
        """By cohort, how many users meet each condition beside the first, which each of them must.

        Args:
            anchor: A condition on the event that puts a user into a cohort.
            period: The first day of the cohort, from the anchor's `date`.
            number: How far a day is from the anchor's, which is `first`.
            conditions: On that `number`.
        """
        answer: Any = chdb.query(
            f"""
            with events as (
                select user_id, event_name, toDate(toTimeZone(event_ts, '{ZONE}')) as date
                from file('{self._file}', Parquet, 'user_id String, event_name String, event_ts DateTime64(6)')
            ),
            anchors as (select user_id, min(date) as first from events where {anchor} group by user_id),
            by_user as (
                select user_id, first, retention({", ".join(conditions)}) as met
                from (
                    select events.user_id as user_id, anchors.first as first, date, {number} as number
                    from events inner join anchors on events.user_id = anchors.user_id
                    where date >= first
                )
                group by user_id, first
            )
            select {period.replace("date", "first")} as cohort, sumForEach(met) as users from by_user group by cohort
            """,
            "JSONCompact",
        )
        rows = json.loads(answer.data())["data"]
        return {cohort: [int(count) for count in users] for cohort, users in rows}


@pytest.mark.parametrize("anchor", mostly_slow(ANCHORS, "first_seen"))
def test_no_cell_differs(anchor: str, build_warehouse: BuildWarehouse, tmp_path: Path) -> None:
    events = fuzzed(seed=len(anchor))
    marts = build_warehouse(
        events,
        {
            "reporting_timezone": ZONE,
            "key_events": ["purchase", "renewal"],
            "cohorts": cohorts(anchor=anchor, brackets=[name for name, *_ in SPANS]),
        },
        select="+cohort_retention +cohort_retention_brackets",
    )
    clickhouse = ClickHouse(events, tmp_path)
    compared = 0
    for grain, period in PERIODS.items():
        number = f"dateDiff('{grain}', {period.replace('date', 'first')}, {period})"
        tests: dict[str, Callable[[int], str]] = {
            "retained_users": lambda since: f"number = {since}",
            "on_or_after_users": lambda since: f"number >= {since}",
        }
        for counts, condition in tests.items():
            # The first condition holds for everyone; the others go on from there, so many at a time.
            for start in range(0, 100, MOST_CONDITIONS - 1):
                numbers = range(start, start + MOST_CONDITIONS - 1)
                theirs = clickhouse.retained(
                    ANCHORS[anchor], period, number, ["number = 0", *(condition(since) for since in numbers)]
                )
                ours = marts.execute(
                    f"""
                    select cast(cohort_period as varchar), period_number, cohort_users, {counts}
                    from marts.cohort_retention
                    where grain = '{grain}' and period_number between {numbers[0]} and {numbers[-1]}
                    """
                ).fetchall()
                for cohort, since, size, users in ours:
                    assert (size, users) == (theirs[cohort][0], theirs[cohort][1 + since - start])
                assert sum(users for *_, users in ours) == sum(sum(met[1:]) for met in theirs.values())
                compared += len(ours)
    assert compared > 2_000
    for grain, period in PERIODS.items():
        conditions = ["number = 0", *(f"number between {first} and {last}" for _, first, last in SPANS)]
        conditions += [f"number >= {first}" for _, first, _ in SPANS]
        theirs = clickhouse.retained(ANCHORS[anchor], period, "dateDiff('day', first, date)", conditions)
        ours = marts.execute(
            f"""
            select cast(cohort_period as varchar), bracket, cohort_users, retained_users, on_or_after_users
            from marts.cohort_retention_brackets where grain = '{grain}'
            """
        ).fetchall()
        for cohort, bracket, size, retained, on_or_after in ours:
            place = 1 + [name for name, *_ in SPANS].index(bracket)
            met = theirs[cohort]
            assert (size, retained, on_or_after) == (met[0], met[place], met[place + len(SPANS)])
        assert sum(retained + on_or_after for *_, retained, on_or_after in ours) == sum(
            sum(met[1:]) for met in theirs.values()
        )
