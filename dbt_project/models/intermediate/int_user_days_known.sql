{{ config(
    materialized='incremental', unique_key=['user_key', 'activity_date', 'known_from'], meta={'region': 'days'},
) }}

with slices as (
    select
        *,
        extract(hour from {{ local_timestamp('first_event_ts') }}) as hour,
        max(last_event_ts) over (
            partition by user_key, activity_date, known_from
            order by first_event_ts rows between unbounded preceding and 1 preceding
        ) as previous_event_ts
    from {{ ref('int_user_slices_known') }}
),

user_days_known as (
    select
        user_key,
        activity_date,
        known_from,
        known_until,
        {{ isodow('activity_date') }} >= 6 as is_weekend,
        count(*) filter (
            where previous_event_ts is null
            or first_event_ts > {{ add_seconds('previous_event_ts', session_timeout_seconds()) }}
        ) as visits,
        cast(sum(events) as bigint) as events,
        cast(coalesce(sum(events) filter (where hour < 6), 0) as bigint) as night_events,
        cast(coalesce(sum(events) filter (where hour between 6 and 11), 0) as bigint) as morning_events,
        cast(coalesce(sum(events) filter (where hour >= 18), 0) as bigint) as evening_events,
        cast(sum(page_views) as bigint) as page_views,
        cast(sum(key_events) as bigint) as key_events,
        cast(coalesce(sum(revenue), 0) as decimal(18, 4)) as revenue,
        max(funnel_depth) as funnel_depth
    from slices
    group by user_key, activity_date, known_from, known_until
)

select * from user_days_known
