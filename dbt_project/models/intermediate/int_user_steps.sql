{{ config(materialized='incremental', unique_key=['user_key', 'step'], meta={'region': 'users'}) }}

{#- With rows by user, the distinct users of a step are a plain count. -#}

with transitions as (
    select * from {{ ref('int_user_transitions') }} as transitions
    where {{ in_region('users', 'transitions') }}
),

user_steps as (
    select
        user_key,
        to_step as step,
        cast(sum(transitions) as bigint) as events,
        cast(coalesce(sum(transitions) filter (where from_step is null), 0) as bigint) as entries,
        cast(sum(exits) as bigint) as exits
    from transitions
    group by user_key, to_step
)

select * from user_steps
