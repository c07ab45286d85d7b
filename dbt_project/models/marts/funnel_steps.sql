{%- set any_optional = funnels_with('optional') | length > 0 -%}

{{ config(
    materialized='incremental',
    unique_key=['funnel', 'entry_grain', 'entry_period', 'breakdown', 'step_number'],
    meta={'region': 'periods', 'or_where': in_touched_funnels('intermediate.int_touched_funnels')},
) }}

with counted as (
    select * from {{ ref('int_funnel_steps_counted') }}
),

steps as (
    select * from {{ ref('int_funnels_declared') }}
),

periods as (
    select distinct
        funnel,
        entry_grain,
        entry_period,
        breakdown
    from counted
    union
    select distinct
        funnel,
        'all' as entry_grain,
        cast(null as date) as entry_period,
        'all' as breakdown
    from steps
),

funnel_steps as (
    select
        periods.funnel,
        periods.entry_grain,
        periods.entry_period,
        periods.breakdown,
        steps.step_number,
        steps.step_name,
        coalesce(counted.users, 0) as users,
        coalesce(counted.users, 0)
        / nullif(cast(coalesce(
            {%- if any_optional %}
            {#- Of the steps that may not be skipped, none has more users than one before it. #}
            min(case when not steps.is_optional then coalesce(counted.users, 0) end) over (
                by_step rows between unbounded preceding and 1 preceding
            ),
            {%- else %}
            lag(coalesce(counted.users, 0)) over by_step,
            {%- endif %}
            counted.users
        ) as double), 0) as from_previous,
        coalesce(counted.users, 0) / nullif(cast(first_value(coalesce(counted.users, 0)) over by_step as double), 0)
            as from_start,
        counted.median_seconds_from_previous,
        counted.p90_seconds_from_previous,
        coalesce(counted.in_progress, 0) as in_progress,
        coalesce(counted.dropped, 0) as dropped
    from periods
    inner join steps on periods.funnel = steps.funnel
    left join counted
        on
            periods.funnel = counted.funnel
            and periods.entry_grain = counted.entry_grain
            and periods.entry_period is not distinct from counted.entry_period
            and periods.breakdown = counted.breakdown
            and steps.step_number = counted.step_number
    window by_step as (
        partition by periods.funnel, periods.entry_grain, periods.entry_period, periods.breakdown
        order by steps.step_number
    )
)

select * from funnel_steps
