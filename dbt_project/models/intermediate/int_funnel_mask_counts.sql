{{ config(materialized='ephemeral') }}

with step_events as (
    select step_events.*
    from {{ ref('int_funnel_step_events') }} as step_events
    inner join {{ ref('int_funnels_declared') }} as declared
        on step_events.funnel = declared.funnel
    where declared.step_order = 'unordered' and declared.step_number = 1
),

masks as (
    select distinct
        funnel,
        mask
    from {{ ref('int_funnel_fill_conditions') }}
),

counted as (
    select
        step_events.funnel,
        step_events.user_key,
        step_events.event_ts,
        step_events.activity_date,
        masks.mask,
        step_events.matches & masks.mask != 0 as is_match,
        count(*) filter (where step_events.matches & masks.mask != 0) over (
            partition by step_events.funnel, step_events.user_key, masks.mask
            order by step_events.event_ts
            rows between unbounded preceding and current row
        ) as nth
    from step_events
    inner join masks on step_events.funnel = masks.funnel
)

select * from counted
