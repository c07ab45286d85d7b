{{ config(materialized='incremental', unique_key='step') }}

with transitions as (
    select * from {{ ref('int_user_transitions') }}
),

by_user as (
    select
        user_key,
        to_step as step,
        sum(transitions) as events,
        coalesce(sum(transitions) filter (where from_step is null), 0) as entries,
        sum(exits) as exits
    from transitions
    group by user_key, to_step
),

path_steps as (
    select
        step,
        cast(sum(events) as bigint) as events,
        count(*) as users,
        cast(sum(entries) as bigint) as entries,
        cast(sum(exits) as bigint) as exits,
        sum(exits) / cast(sum(events) as double) as exit_rate
    from by_user
    group by step
)

select * from path_steps
