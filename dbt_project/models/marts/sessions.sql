{{ config(materialized='incremental', unique_key='session_id', meta={'region': 'sessions', 'moment': 'started_at'}) }}

{#- No two slices of a user begin at one instant. -#}
{%- set in_order = 'first_event_ts' %}

with activity as (
    select
        slices.session_id,
        activity.*
    from {{ ref('int_activity_sessionized') }} as slices
    inner join {{ ref('int_user_activity') }} as activity
        on
            slices.user_key = activity.user_key
            and slices.activity_date = activity.activity_date
            and slices.slice = activity.slice
    where
        {{ in_region('sessions', 'slices', 'first_event_ts') }}
        and {{ in_region('sessions', 'activity', 'first_event_ts') }}
),

sessions as (
    select
        session_id,
        min(user_key) as user_key,
        min(first_event_ts) as started_at,
        max(last_event_ts) as ended_at,
        {{ seconds_between('min(first_event_ts)', 'max(last_event_ts)') }} as duration_seconds,
        cast(sum(events) as bigint) as events,
        cast(sum(page_views) as bigint) as page_views,
        cast(sum(key_events) as bigint) as key_events,
        cast(sum(revenue) as decimal(18, 4)) as revenue,
        {{ first_known('entry_page', in_order) }} as entry_page,
        {{ last_known('exit_page', in_order) }} as exit_page,
        sum(events) = 1 as is_bounce,
        {{ first_campaign('utm_source', in_order) }} as utm_source,
        {{ first_campaign('utm_medium', in_order) }} as utm_medium,
        {{ first_campaign('utm_campaign', in_order) }} as utm_campaign,
        {{ first_known('platform', in_order) }} as platform,
        {{ first_known('country', in_order) }} as country,
        min_by(activity_date, {{ in_order }}) as session_date
    from activity
    group by session_id
)

select * from sessions
