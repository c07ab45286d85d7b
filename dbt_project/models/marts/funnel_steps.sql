{{ config(
    materialized='incremental',
    unique_key=['funnel', 'entry_grain', 'entry_period', 'breakdown', 'step_number'],
) }}

with entries as (
    select * from {{ ref('int_funnel_period_entries') }}
),

steps as (
    select * from {{ ref('int_funnels_declared') }}
),

stops as (
    select * from {{ ref('int_funnel_stops') }}
),

waits as (
    select * from {{ ref('int_funnel_waits') }}
),

periods as (
    select distinct
        funnel,
        entry_grain,
        entry_period,
        breakdown
    from entries
    union
    select distinct
        funnel,
        'all' as entry_grain,
        cast(null as date) as entry_period,
        'all' as breakdown
    from steps
),

reached as (
    select
        periods.*,
        steps.step_number,
        steps.step_name,
        cast(coalesce(sum(stops.users), 0) as bigint) as users,
        cast(coalesce(sum(stops.users) filter (
            where stops.steps_completed = steps.step_number and stops.may_go_on and steps.step_number < steps.steps
        ), 0) as bigint) as in_progress,
        cast(coalesce(sum(stops.users) filter (
            where stops.steps_completed = steps.step_number and not stops.may_go_on and steps.step_number < steps.steps
        ), 0) as bigint) as dropped
    from periods
    inner join steps on periods.funnel = steps.funnel
    left join stops
        on
            periods.funnel = stops.funnel
            and periods.entry_grain = stops.entry_grain
            and periods.entry_period is not distinct from stops.entry_period
            and periods.breakdown = stops.breakdown
            and steps.step_number <= stops.steps_completed
    group by
        periods.funnel,
        periods.entry_grain,
        periods.entry_period,
        periods.breakdown,
        steps.step_number,
        steps.step_name
),

counted as (
    select
        reached.*,
        waits.median_seconds_from_previous
    from reached
    left join waits
        on
            reached.funnel = waits.funnel
            and reached.entry_grain = waits.entry_grain
            and reached.entry_period is not distinct from waits.entry_period
            and reached.breakdown = waits.breakdown
            and reached.step_number = waits.step_number
),

funnel_steps as (
    select
        funnel,
        entry_grain,
        entry_period,
        breakdown,
        step_number,
        step_name,
        users,
        users / nullif(cast(lag(users, 1, users) over by_step as double), 0) as from_previous,
        users / nullif(cast(first_value(users) over by_step as double), 0) as from_start,
        median_seconds_from_previous,
        in_progress,
        dropped
    from counted
    window by_step as (
        partition by funnel, entry_grain, entry_period, breakdown
        order by step_number
    )
)

select * from funnel_steps
