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
        first_run,
        max(step_number) as steps_completed,
        max(reached_at) as last_step_at,
        {{ ordered_list('reached_at', 'step_number') }} as step_times
    from paths
    group by funnel, user_key, entered_at, first_run
),

ordered as (
    select
        *,
        {{ sort_key(['-steps_completed', 'last_step_at', '-first_run']) }} as in_order
    from attempts
),

entries as (
    select
        funnel,
        user_key,
        entered_at,
        max(steps_completed) as steps_completed,
        min_by(last_step_at, in_order) as last_step_at,
        min_by(step_times, in_order) as step_times
    from ordered
    group by funnel, user_key, entered_at
)

select * from entries
