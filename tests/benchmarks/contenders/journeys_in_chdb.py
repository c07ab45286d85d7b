"""Funnels, paths and attribution in ClickHouse."""

from tests.benchmarks.contenders import FUNNEL, LOOKBACK_DAYS, TIMEOUT_SECONDS, WINDOW_SECONDS
from tests.benchmarks.contenders.in_chdb import IS_KEY, LOCAL_DATE, sessionized, written


@written
def funnel_users() -> str:
    steps = ", ".join(f"event_name = '{name}'" for name in FUNNEL)
    return f"""
        select
            user_key,
            windowFunnel({WINDOW_SECONDS * 1_000_000}, 'strict_once')(
                toUInt64(toUnixTimestamp64Micro(event_ts)), {steps}
            ) as steps_completed
        from EVENTS
        where event_name in {FUNNEL}
        group by user_key
        having steps_completed > 0
        """


@written
def path_transitions() -> str:
    following = "over (partition by user_key order by event_ts rows between current row and unbounded following)"
    return f"""
        select
            from_step, to_step, count() as transitions, uniqExact(user_key) as users,
            quantileExactInclusive(0.5)(seconds) as median_seconds_between
        from (
            select
                user_key, step as from_step,
                leadInFrame(step) {following} as to_step,
                dateDiff('microsecond', event_ts, leadInFrame(event_ts) {following}) / 1e6 as seconds
            from (
                select
                    user_key, event_ts,
                    if(event_name = 'page_view' and page is not null, assumeNotNull(page), event_name) as step
                from EVENTS
            )
        )
        where seconds between 0 and {TIMEOUT_SECONDS}
        group by from_step, to_step
        """


@written
def attribution() -> str:
    """A session's touches as an array; credit is dealt by its length and each touch's place."""
    return f"""
        with
            sessionized as (
                {sessionized("user_key, event_ts, event_name, referrer, utm_source, utm_medium, revenue")}
            ),
            touches as (
                select
                    user_key, session, min(event_ts) as started_at,
                    multiIf(
                        countIf(utm_source is not null or utm_medium is not null) > 0, 'Email',
                        argMin((referrer,), event_ts).1 is not null, 'Referral', 'Direct'
                    ) as channel
                from sessionized group by user_key, session
            ),
            led as (
                select
                    user_key, session,
                    arraySort(groupArray((touches.started_at, touches.channel))) as path
                from (select distinct user_key, session from sessionized where {IS_KEY}) as converting
                inner join touches as own on own.user_key = converting.user_key and own.session = converting.session
                inner join touches on touches.user_key = converting.user_key
                where touches.started_at between own.started_at - interval {LOOKBACK_DAYS} day and own.started_at
                group by converting.user_key as user_key, converting.session as session
            ),
            key_events as (
                select user_key, session, {LOCAL_DATE} as activity_date, count() as number,
                    toFloat64(sum(ifNull(revenue, 0))) as money
                from sessionized where {IS_KEY} group by user_key, session, activity_date
            ),
            dealt as (
                select
                    user_key, session,
                    arrayJoin(arrayFlatten(arrayMap(
                        (touch, place) -> [
                            ('first', touch.2, toFloat64(place = 1)),
                            ('last_non_direct', touch.2, toFloat64(place = last)),
                            ('linear', touch.2, 1 / n),
                            ('position_based', touch.2, multiIf(
                                n = 1, 1., n = 2, 0.5, place in (1, n), 0.4, 0.2 / (n - 2)
                            ))
                        ],
                        path, arrayEnumerate(path)
                    ))) as share
                from (
                    select
                        *, length(path) as n,
                        if(
                            arrayExists(touch -> touch.2 != 'Direct', path),
                            arrayLastIndex(touch -> touch.2 != 'Direct', path), n
                        ) as last
                    from led
                )
            )
        select
            share.1 as model, share.2 as channel, activity_date,
            sum(share.3 * number) as key_events, sum(share.3 * money) as revenue
        from dealt inner join key_events
            on dealt.user_key = key_events.user_key and dealt.session = key_events.session
        where share.3 > 0
        group by model, channel, activity_date
        """
