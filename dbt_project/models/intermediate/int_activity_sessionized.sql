{{ config(
    materialized='incremental',
    unique_key=['user_key', 'activity_date', 'slice'],
    meta={'region': 'sessions', 'moment': 'first_event_ts'},
) }}

{#- A session starts at a user's first slice and after a gap greater than the timeout. -#}

with activity as (
    select
        *,
        lag(last_event_ts) over (partition by user_key order by first_event_ts, slice, activity_date)
            as previous_event_ts
    from {{ ref('int_user_activity') }} as slices
    where {{ in_region('sessions', 'slices', 'first_event_ts') }}
),

starts as (
    select
        *,
        case
            when previous_event_ts is null then 1
            when
                first_event_ts > {{ add_seconds('previous_event_ts', session_timeout_seconds()) }}
                then 1
            else 0
        end as is_session_start
    from activity
),

numbered as (
    select
        *,
        sum(is_session_start) over (
            partition by user_key
            order by first_event_ts, slice, activity_date
            rows between unbounded preceding and current row
        ) as session_number
    from starts
),

sessionized as (
    select
        {{ hash_key([
            'user_key',
            'first_value(first_event_source) over session_slices',
            'first_value(first_event_id) over session_slices',
        ]) }} as session_id,
        user_key,
        activity_date,
        slice,
        first_event_ts,
        last_event_ts,
        events,
        page_views,
        key_events,
        revenue,
        entry_page,
        exit_page,
        platform,
        country,
        utm_source,
        utm_medium,
        utm_campaign
    from numbered
    window session_slices as (
        partition by user_key, session_number
        order by first_event_ts, slice, activity_date
        rows between unbounded preceding and current row
    )
)

select * from sessionized
