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

span as (
    select * from {{ ref('int_data_span') }}
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
        entries.*,
        steps.step_number,
        entries.steps_completed = steps.step_number and steps.step_number < steps.steps as stopped_here,
        span.last_event_ts < {{ add_seconds('entries.entered_at', 'steps.window_seconds') }} as may_go_on,
        {{ seconds_between(
            list_element('entries.step_times', 'steps.step_number - 1'),
            list_element('entries.step_times', 'steps.step_number'),
        ) }} as seconds_from_previous
    from entries
    inner join steps
        on
            entries.funnel = steps.funnel
            and entries.steps_completed >= steps.step_number
    cross join span
),

counted as (
    select
        periods.*,
        steps.step_number,
        steps.step_name,
        count(reached.user_key) as users,
        count(*) filter (where reached.stopped_here and reached.may_go_on) as in_progress,
        count(*) filter (where reached.stopped_here and not reached.may_go_on) as dropped,
        {{ median('reached.seconds_from_previous') }} as median_seconds_from_previous
    from periods
    inner join steps on periods.funnel = steps.funnel
    left join reached
        on
            periods.funnel = reached.funnel
            and periods.entry_grain = reached.entry_grain
            and periods.entry_period is not distinct from reached.entry_period
            and periods.breakdown = reached.breakdown
            and steps.step_number = reached.step_number
    group by
        periods.funnel,
        periods.entry_grain,
        periods.entry_period,
        periods.breakdown,
        steps.step_number,
        steps.step_name
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
