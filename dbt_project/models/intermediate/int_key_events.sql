{{ config(
    materialized='incremental',
    unique_key=['source', 'event_id'],
    meta={'region': 'sessions', 'moment': 'event_ts'},
) }}

{#- Only sessions with a key event are looked at. A step that repeats itself counts once on a path, but for key events,
    each of which has a path of its own. -#}

{%- set length = var('paths')['length'] %}

with sessions as (
    select * from {{ ref('sessions') }} as sessions
    where {{ in_region('sessions', 'sessions', 'started_at') }} and key_events > 0
),

steps as (
    select
        sessions.session_id,
        sessions.started_at as session_started_at,
        events.user_key,
        events.source,
        events.event_id,
        events.event_ts,
        events.activity_date,
        events.event_name,
        events.revenue,
        {{ path_step() }} as step,
        events.event_name in ({{ text_list(var('key_events')) }}) as is_key_event
    from {{ events_in_reach() }} as events
    inner join sessions
        on
            events.user_key = sessions.user_key
            and events.event_ts between sessions.started_at and sessions.ended_at
    where {{ in_region('sessions', 'events', 'event_ts') }}
),

neighbours as (
    select
        *,
        lag(step) over (partition by session_id order by event_ts, event_id, source) as previous_step
    from steps
),

surrounded as (
    select
        *,
        concat_ws(
            ' > ',
            case when lag(step, {{ length }}) over in_order is null then '(entry)' end
            {%- for back in range(length, 0, -1) %},
            lag(step, {{ back }}) over in_order
            {%- endfor %}
        ) as path_to,
        concat_ws(
            ' > '
            {%- for ahead in range(1, length + 1) %},
            lead(step, {{ ahead }}) over in_order
            {%- endfor %},
            case when lead(step, {{ length }}) over in_order is null then '(exit)' end
        ) as path_from
    from neighbours
    where is_key_event or previous_step is null or step != previous_step
    window in_order as (partition by session_id order by event_ts, event_id, source)
),

key_events as (
    select
        source,
        event_id,
        user_key,
        session_id,
        session_started_at,
        event_ts,
        activity_date,
        event_name as key_event,
        cast(coalesce(revenue, 0) as decimal(18, 4)) as revenue,
        path_to,
        path_from
    from surrounded
    where is_key_event
)

select * from key_events
