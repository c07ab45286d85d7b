{{ config(materialized='incremental', unique_key=['key_event', 'path']) }}

with key_events as (
    select * from {{ ref('int_key_events') }}
),

paths as (
    select * from {{ ref('int_conversion_paths') }}
),

counted as (
    select
        key_events.key_event,
        paths.path,
        count(*) as key_events,
        count(distinct key_events.user_key) as users,
        cast(sum(key_events.revenue) as decimal(18, 4)) as revenue,
        {{ median('paths.sessions') }} as median_sessions,
        {{ median(seconds_between('paths.first_touch_at', 'key_events.event_ts')) }} / 86400 as median_days
    from key_events
    inner join paths on key_events.session_id = paths.session_id
    group by key_events.key_event, paths.path
),

conversion_paths as (
    select
        key_event,
        path,
        key_events,
        users,
        revenue,
        key_events / cast(sum(key_events) over (partition by key_event) as double) as share,
        row_number() over (partition by key_event order by key_events desc, path asc) as path_rank,
        median_sessions,
        median_days
    from counted
)

select * from conversion_paths
