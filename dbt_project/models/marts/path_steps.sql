{{ config(
    materialized='incremental',
    unique_key='step',
) }}

with transitions as (
    select * from {{ ref('int_user_transitions') }}
),

by_user as (
    select
        user_key,
        to_step as step,
        sum(transitions) as events,
        coalesce(sum(transitions) filter (where from_step is null), 0) as entries
    from transitions
    where to_step is not null
    group by user_key, to_step
),

arrivals as (
    select
        step,
        cast(sum(events) as bigint) as events,
        count(*) as users,
        cast(sum(entries) as bigint) as entries
    from by_user
    group by step
),

departures as (
    select
        from_step as step,
        cast(sum(transitions) as bigint) as exits
    from transitions
    where to_step is null
    group by from_step
),

path_steps as (
    select
        arrivals.step,
        arrivals.events,
        arrivals.users,
        arrivals.entries,
        coalesce(departures.exits, 0) as exits,
        coalesce(departures.exits, 0) / cast(arrivals.events as double) as exit_rate
    from arrivals
    left join departures on arrivals.step = departures.step
)

select * from path_steps
