{{ config(materialized='view') }}

with entries as (
    select * from {{ ref('int_funnel_period_entries') }}
),

steps as (
    select * from {{ ref('int_funnels_declared') }}
),

span as (
    select * from {{ ref('int_data_span') }}
),

stops as (
    select
        entries.funnel,
        entries.entry_grain,
        entries.entry_period,
        entries.breakdown,
        entries.steps_completed,
        span.last_event_ts < {{ add_seconds('entries.entered_at', 'steps.window_seconds') }} as may_go_on,
        count(*) as users
    from entries
    inner join steps
        on
            entries.funnel = steps.funnel
            and steps.step_number = 1
    cross join span
    group by
        entries.funnel,
        entries.entry_grain,
        entries.entry_period,
        entries.breakdown,
        entries.steps_completed,
        may_go_on
)

select * from stops
