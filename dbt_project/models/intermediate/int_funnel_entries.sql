{{ config(
    materialized='incremental',
    unique_key=['funnel', 'user_key', 'entered_at'],
    meta={'region': 'entries', 'moment': 'entered_at'},
) }}

with paths as (
    select * from {{ ref('int_funnel_paths') }} as paths
    where {{ in_region('entries', 'paths', 'entered_at') }}
),

attempts as (
    select
        funnel,
        user_key,
        entered_at,
        max(step_number) as steps_completed,
        max(reached_at) as last_step_at,
        {{ ordered_list('reached_at', 'step_number') }} as step_times
    from paths
    group by funnel, user_key, entered_at, first_run
),

ranked as (
    select
        *,
        row_number() over (
            partition by funnel, user_key, entered_at
            order by steps_completed desc, last_step_at asc
        ) as attempt_rank
    from attempts
),

entries as (
    select
        funnel,
        user_key,
        entered_at,
        steps_completed,
        last_step_at,
        step_times
    from ranked
    where attempt_rank = 1
)

select * from entries
