{{ config(
    materialized='incremental',
    unique_key=['user_key', 'activity_date', 'slice'],
    meta={'region': 'sessions', 'moment': 'first_event_ts'},
) }}

{#- A session starts at a user's first slice and after a gap greater than the timeout. Where a clock goes back over
    midnight, the days of one slice interleave: hence the latest event of all slices before, not of the last one. -#}

with activity as (
    select
        user_key,
        activity_date,
        slice,
        first_event_ts,
        first_event_source,
        first_event_id,
        events,
        page_views,
        key_events,
        revenue,
        max(last_event_ts) over (
            partition by user_key order by first_event_ts rows between unbounded preceding and 1 preceding
        ) as previous_event_ts
    from {{ ref('int_user_activity') }} as slices
    where {{ in_region('sessions', 'slices', 'first_event_ts') }}
),

starts as (
    select
        *,
        case
            when
                previous_event_ts is null
                or first_event_ts > {{ add_seconds('previous_event_ts', session_timeout_seconds()) }}
                then {{ hash_key(['user_key', 'first_event_source', 'first_event_id']) }}
        end as started_session_id
    from activity
),

sessionized as (
    select
        {{ nearest_known('started_session_id', 'user_key', 'first_event_ts', 'preceding') }} as session_id,
        user_key,
        activity_date,
        slice,
        first_event_ts,
        events,
        page_views,
        key_events,
        revenue
    from starts
)

select * from sessionized
