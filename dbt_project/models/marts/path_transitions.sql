{{ config(materialized='incremental', unique_key=['from_step', 'to_step']) }}

{#- Kept at hand, the waits of all users would be as many as events. -#}

with by_user as {{ not_kept() }} (
    select * from {{ ref('int_user_transitions') }}
    where from_step is not null
),

steps as (
    select * from {{ ref('path_steps') }}
),

transitions as (
    select
        from_step,
        to_step,
        cast(sum(transitions) as bigint) as transitions,
        count(*) as users
    from by_user
    group by from_step, to_step
),

waits as (
    select
        from_step,
        to_step,
        {{ each_of('seconds') }} as seconds
    from by_user
),

medians as (
    select
        from_step,
        to_step,
        {{ median('seconds') }} as median_seconds_between
    from waits
    group by from_step, to_step
),

path_transitions as (
    select
        transitions.from_step,
        transitions.to_step,
        transitions.transitions,
        transitions.users,
        transitions.transitions / cast(steps.events as double) as share,
        medians.median_seconds_between,
        steps.exits as drop_offs,
        steps.exit_rate as drop_off_rate
    from transitions
    inner join steps on transitions.from_step = steps.step
    inner join medians
        on
            transitions.from_step = medians.from_step
            and transitions.to_step = medians.to_step
)

select * from path_transitions
