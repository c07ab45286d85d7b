{{ config(materialized='ephemeral') }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. A day's is
    known already, and that of all time. -#}

{%- set in_order = order_number('-precedence', microseconds('entered_at')) %}

with period_entries as (
    select
        funnel,
        'day' as entry_grain,
        entry_date as entry_period,
        entered_at,
        precedence,
        steps_completed,
        {%- if paths_may_end_early() %}
        ends_at,
        {%- endif %}
        step_times,
        user_key,
        breakdown
    from {{ ref('int_funnel_entries') }}
    {%- for grain in ['week', 'month'] %}
    union all
    select
        funnel,
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'entry_date') }} as entry_period,
        min_by(entered_at, {{ in_order }}) as entered_at,
        max(precedence) as precedence,
        min_by(steps_completed, {{ in_order }}) as steps_completed,
        {%- if paths_may_end_early() %}
        min_by(ends_at, {{ in_order }}) as ends_at,
        {%- endif %}
        min_by(step_times, {{ in_order }}) as step_times,
        user_key,
        min_by(breakdown, {{ in_order }}) as breakdown
    from {{ ref('int_funnel_entries') }}
    group by funnel, user_key, {{ period_start(grain, 'entry_date') }}
    {%- endfor %}
    union all
    select
        funnel,
        'all' as entry_grain,
        cast(null as date) as entry_period,
        entered_at,
        1 as precedence,
        steps_completed,
        {%- if paths_may_end_early() %}
        {#- Whether it may go on is known already. #}
        case when status = 'in_progress' then cast('9999-12-31' as timestamp) else entered_at end as ends_at,
        {%- endif %}
        step_times,
        user_key,
        breakdown
    from {{ ref('funnel_users') }}
),

touched_entries as (
    select * from period_entries
    where
        (
            {{ in_region('periods', 'period_entries', anew=not stored('funnel_steps')) }}
            {%- if funnels_with('breakdown') %}
            or {{ in_touched_funnels(ref('int_touched_funnels')) }}
            {%- endif %}
        )
        and not {{ is_left_out('period_entries') }}
)

select * from touched_entries
