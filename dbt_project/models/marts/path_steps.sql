{{ config(materialized='incremental', unique_key='step') }}

with user_steps as (
    select * from {{ ref('int_user_steps') }}
),

path_steps as (
    select
        step,
        cast(sum(events) as bigint) as events,
        count(*) as users,
        cast(sum(entries) as bigint) as entries,
        cast(sum(exits) as bigint) as exits,
        sum(exits) / cast(sum(events) as double) as exit_rate
    from user_steps
    group by step
)

select * from path_steps
