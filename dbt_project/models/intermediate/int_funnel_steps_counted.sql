{{ config(materialized='ephemeral') }}

{%- set any_optional = funnels_with('optional') | length > 0 %}

with entries as (
    select * from {{ ref('int_funnel_labelled_entries') }}
),

steps as (
    select * from {{ ref('int_funnels_declared') }}
),

span as (
    select * from {{ ref('int_data_span') }}
),

reached as (
    select
        entries.funnel,
        entries.entry_grain,
        entries.entry_period,
        entries.breakdown,
        steps.step_number,
        entries.steps_completed = steps.step_number and steps.step_number < steps.steps as is_last,
        span.last_event_ts < {{ path_ends_at('entries', 'steps') }} as may_go_on,
        {{ seconds_between(
            list_element('entries.step_times', 'steps.previous_number'),
            list_element('entries.step_times', 'steps.step_number'),
        ) }} as seconds_from_previous
    from entries
    inner join steps
        on
            entries.funnel = steps.funnel
            {%- if any_optional %}
            and {{ list_element('entries.step_times', 'steps.step_number') }} is not null
            {%- else %}
            and entries.steps_completed >= steps.step_number
            {%- endif %}
    cross join span
),

counted as (
    select
        funnel,
        entry_grain,
        entry_period,
        breakdown,
        step_number,
        count(*) as users,
        {{ median('seconds_from_previous') }} as median_seconds_from_previous,
        {{ percentile('seconds_from_previous', 0.9) }} as p90_seconds_from_previous,
        count(*) filter (where is_last and may_go_on) as in_progress,
        count(*) filter (where is_last and not may_go_on) as dropped
    from reached
    group by funnel, entry_grain, entry_period, breakdown, step_number
)

select * from counted
