"""ClickHouse in this process: window functions, aggregate combinators, and its own functions for funnels and arrays."""

from collections.abc import Callable
from pathlib import Path

import chdb

from tests.benchmarks.contenders import (
    ELIGIBLE_DAYS,
    GRAINS,
    KEY_EVENT,
    TIMEOUT_SECONDS,
    WINDOWS,
    ZONE,
)

STRUCTURE = (
    "user_key String, earlier_user_key Nullable(String), identified_at DateTime64(6), event_ts DateTime64(6), "
    "event_name String, page Nullable(String), referrer Nullable(String), utm_source Nullable(String), "
    "utm_medium Nullable(String), revenue Nullable(Decimal(18, 4))"
)
LOCAL_DATE = f"toDate(toTimeZone(event_ts, '{ZONE}'))"
IS_KEY = f"event_name = '{KEY_EVENT}'"
MEASURES = f"""
    count() as events, countIf(event_name = 'page_view') as page_views, countIf({IS_KEY}) as key_events,
    sum(ifNull(revenue, 0)) as revenue
"""
PERIODS = {"day": "{}", "week": "toMonday({})", "month": "toStartOfMonth({})"}


def written(query: Callable[[], str]) -> Callable[[Path, Path], None]:
    """Let a function that says what to ask for ask it, of a file, and write the answer to another."""

    def write(events: Path, out: Path) -> None:
        asked = query().replace("EVENTS", f"file('{events}', Parquet, '{STRUCTURE}')")
        options = "max_threads = 2, session_timezone = 'UTC'"
        chdb.query(f"insert into function file('{out}', Parquet) {asked} settings {options}")

    return write


def sessionized(columns: str) -> str:
    return f"""
        select *, sum(is_new) over (partition by user_key order by event_ts rows unbounded preceding) as session
        from (
            select
                {columns},
                dateDiff('microsecond', lagInFrame(event_ts, 1, toDateTime64(0, 6)) over (
                    partition by user_key order by event_ts rows between unbounded preceding and current row
                ), event_ts) > {TIMEOUT_SECONDS} * 1000000 as is_new
            from EVENTS
        )
    """


DAYS = f"select user_key, {LOCAL_DATE} as activity_date, {MEASURES} from EVENTS group by user_key, activity_date"


@written
def sessions() -> str:
    return f"""
        select
            user_key, min(event_ts) as started_at, max(event_ts) as ended_at, {MEASURES},
            argMin(page, event_ts) as entry_page, argMax(page, event_ts) as exit_page
        from ({sessionized("user_key, event_ts, event_name, page, revenue")})
        group by user_key, session
        """


@written
def user_days() -> str:
    return f"""
        select user_key, {LOCAL_DATE} as activity_date, uniqExact(session) as sessions, {MEASURES}
        from ({sessionized("user_key, event_ts, event_name, revenue")})
        group by user_key, activity_date
        """


@written
def users() -> str:
    return f"""
        select
            user_key, min(event_ts) as first_seen_at, max(event_ts) as last_seen_at,
            max(session) as sessions, {MEASURES}
        from ({sessionized("user_key, event_ts, event_name, revenue")})
        group by user_key
        """


@written
def cohort_retention() -> str:
    by_grain = " union all ".join(
        f"""
        select
            '{grain}' as grain, {period.format("first")} as cohort_period,
            dateDiff('{grain}', cohort_period, {period.format("activity_date")}) as period_number,
            uniqExact(user_key) as retained_users, sum(revenue) as revenue
        from dated
        group by cohort_period, period_number
        """
        for grain, period in PERIODS.items()
    )
    return f"""
        with dated as (
            select *, min(activity_date) over (partition by user_key) as first from ({DAYS})
        )
        {by_grain}
        """


@written
def rfm_scores() -> str:
    def fifth(column: str) -> str:
        ranked = f"rank() over (partition by as_of_date order by {column})"
        return f"1 + intDiv(5 * ({ranked} - 1), count() over (partition by as_of_date))"

    return f"""
        with
            (select min({LOCAL_DATE}) from EVENTS) as first_date,
            (select max({LOCAL_DATE}) from EVENTS) as last_date,
            dates as (
                select arrayJoin(arrayFilter(
                    day -> day = last_date or toDayOfMonth(day + 1) = 1,
                    arrayMap(number -> first_date + number, range(last_date - first_date + 1))
                )) as as_of_date
            ),
            measured as (
                select
                    as_of_date, user_key,
                    as_of_date - maxIf(activity_date, key_events > 0) as recency_days,
                    sum(key_events) as frequency, sum(revenue) as monetary
                from ({DAYS}) as days cross join dates
                where activity_date <= as_of_date and (key_events > 0 or revenue != 0)
                group by as_of_date, user_key
                having frequency > 0
            )
        select
            *, 6 - ({fifth("recency_days")}) as r_score, {fifth("frequency")} as f_score, {fifth("monetary")} as m_score
        from measured
        """


def _active_periods(grain: str) -> str:
    return f"""
        select user_key, arraySort(groupUniqArray({PERIODS[grain].format(LOCAL_DATE)})) as periods
        from EVENTS group by user_key
    """


@written
def lifecycle() -> str:
    """A user's active periods as an array, in which neighbours are looked at."""
    return " union all ".join(
        f"""
        select '{grain}' as grain, state_of.1 as period, state_of.2 as state, count() as users
        from (
            select arrayJoin(arrayConcat(
                arrayMap(
                    (period, place) -> (period, multiIf(
                        place = 1, 'new',
                        periods[place - 1] + interval 1 {grain} = period, 'returning', 'resurrecting'
                    )),
                    periods, arrayEnumerate(periods)
                ),
                arrayMap(
                    period -> (period + interval 1 {grain}, 'dormant'),
                    arrayFilter(period -> not has(periods, period + interval 1 {grain}), periods)
                )
            )) as state_of
            from ({_active_periods(grain)})
        )
        where period <= (select max({LOCAL_DATE}) from EVENTS)
        group by period, state
        """
        for grain in GRAINS
    )


@written
def stickiness() -> str:
    return " union all ".join(
        f"""
        select '{grain}' as grain, period, active_days, count() as users
        from (
            select user_key, {PERIODS[grain].format(LOCAL_DATE)} as period, uniqExact({LOCAL_DATE}) as active_days
            from EVENTS group by user_key, period
        )
        group by period, active_days
        """
        for grain in ("week", "month")
    )


@written
def user_snapshots() -> str:
    windowed = ", ".join(
        f"uniqExactIf(activity_date, age <= {length}) as active_days_{window}, "
        + ", ".join(f"sumIf({m}, age <= {length}) as {m}_{window}" for m in ("events", "key_events", "revenue"))
        for window, length in WINDOWS.items()
    )
    identified = f"toDate(toTimeZone(identified_at, '{ZONE}'))"
    key = "user_key, activity_date, known_from, known_until"
    return f"""
        with
            (select min({LOCAL_DATE}) from EVENTS) as first_date,
            (select max({LOCAL_DATE}) from EVENTS) as last_date,
            cutoffs as (
                select arrayJoin(arrayFilter(
                    day -> day = last_date + 1 or toDayOfWeek(day) = 1,
                    arrayMap(number -> first_date + 1 + number, range(last_date - first_date + 1))
                )) as as_of
            ),
            known as (
                select user_key, {LOCAL_DATE} as activity_date, {identified} as known_from,
                    toDate('2100-01-01') as known_until, {MEASURES}
                from EVENTS group by {key}
                union all
                select assumeNotNull(earlier_user_key) as user_key, {LOCAL_DATE} as activity_date,
                    activity_date as known_from, {identified} as known_until, {MEASURES}
                from EVENTS where earlier_user_key is not null and {identified} > {LOCAL_DATE} group by {key}
            )
        select
            user_key, as_of, min(age) as recency_days, max(age) as tenure_days,
            minOrNullIf(age, key_events > 0) as days_since_key_event,
            sumIf(page_views, age <= 30) as page_views_30d, {windowed}
        from (
            select *, as_of - activity_date as age from known cross join cutoffs
            where as_of > known_from and as_of <= known_until
        )
        group by user_key, as_of
        having recency_days <= {ELIGIBLE_DAYS}
        """
