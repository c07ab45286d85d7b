{{ config(materialized='view') }}

with entries as (
    select * from {{ ref('int_funnel_period_entries') }}
),

steps as (
    select * from {{ ref('int_funnels_declared') }}
),

waits as (
    select
        entries.funnel,
        entries.entry_grain,
        entries.entry_period,
        entries.breakdown,
        steps.step_number,
        {{ median(seconds_between(
            list_element('entries.step_times', 'steps.step_number - 1'),
            list_element('entries.step_times', 'steps.step_number'),
        )) }} as median_seconds_from_previous
    from entries
    inner join steps
        on
            entries.funnel = steps.funnel
            and entries.steps_completed >= steps.step_number
    where entries.steps_completed > 1 and steps.step_number > 1
    group by
        entries.funnel,
        entries.entry_grain,
        entries.entry_period,
        entries.breakdown,
        steps.step_number
)

select * from waits
