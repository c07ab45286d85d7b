{{ config(materialized='ephemeral') }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. A day's is
    known already, and that of all time. -#}

{%- set in_order = order_number('-steps_completed', microseconds('entered_at')) %}

with period_entries as (
    select
        funnel,
        'day' as entry_grain,
        entry_date as entry_period,
        entered_at,
        steps_completed,
        step_times
    from {{ ref('int_funnel_entries') }}
    {%- for grain in ['week', 'month'] %}
    union all
    select
        funnel,
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'entry_date') }} as entry_period,
        min_by(entered_at, {{ in_order }}) as entered_at,
        max(steps_completed) as steps_completed,
        min_by(step_times, {{ in_order }}) as step_times
    from {{ ref('int_funnel_entries') }}
    group by funnel, user_key, {{ period_start(grain, 'entry_date') }}
    {%- endfor %}
    union all
    select
        funnel,
        'all' as entry_grain,
        cast(null as date) as entry_period,
        entered_at,
        steps_completed,
        step_times
    from {{ ref('funnel_users') }}
),

touched_entries as (
    select
        *,
        'all' as breakdown
    from period_entries
    where {{ in_region('periods', 'period_entries', anew=not stored('funnel_steps')) }}
)

select * from touched_entries
