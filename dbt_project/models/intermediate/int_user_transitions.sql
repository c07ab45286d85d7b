{{ config(materialized='incremental', unique_key=['user_key', 'from_step', 'to_step'], meta={'region': 'users'}) }}

{#- Two neighbouring events of a user lie in one session unless the gap is greater than the timeout, so sessions need
    not be looked up. With rows by user, the distinct users of a transition are a plain count. -#}

with events as (
    select
        user_key,
        event_ts,
        event_id,
        source,
        {{ path_step() }} as step
    from {{ events_in_reach() }} as identified
    where {{ in_region('users', 'identified') }}
),

neighbours as (
    select
        user_key,
        step,
        event_ts,
        lag(step) over in_order as previous_step,
        lag(event_ts) over in_order as previous_ts,
        lead(event_ts) over in_order as next_ts
    from events
    window in_order as (partition by user_key order by event_ts, event_id, source)
),

arrivals as (
    select
        user_key,
        step,
        case
            when event_ts <= {{ add_seconds('previous_ts', session_timeout_seconds()) }} then previous_step
        end as from_step,
        case
            when event_ts <= {{ add_seconds('previous_ts', session_timeout_seconds()) }}
                then {{ seconds_between('previous_ts', 'event_ts') }}
        end as seconds,
        next_ts is null or next_ts > {{ add_seconds('event_ts', session_timeout_seconds()) }} as is_last
    from neighbours
),

user_transitions as (
    select
        user_key,
        from_step,
        step as to_step,
        count(*) as transitions,
        count(*) filter (where is_last) as exits,
        {{ ordered_list('seconds', 'seconds') }} as seconds
    from arrivals
    group by user_key, from_step, step
)

select * from user_transitions
