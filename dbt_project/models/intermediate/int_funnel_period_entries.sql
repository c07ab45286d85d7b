{{ config(materialized='ephemeral') }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. A day's is
    known already, and that of all time. The periods are chosen before the best of each is: all would cost more. -#}

{%- set in_order = order_number('-precedence', microseconds('entered_at')) %}
{%- set touched_funnels = in_touched_funnels(ref('int_touched_funnels')) if funnels_with('breakdown') %}

with {% for grain in ['day', 'week', 'month'] -%}
{{ grain }}_entries as (
    select * from (
        select
            *,
            {{ quoted(grain) }} as entry_grain,
            {{ period_start(grain, 'entry_date') }} as entry_period
        from {{ ref('int_funnel_entries') }}
    ) as entries
    where
        {{ in_region('periods', 'entries', anew=not stored('funnel_steps')) }}
        {%- if touched_funnels %} or {{ touched_funnels }}{% endif %}
),

{% endfor -%}
period_entries as (
    select
        funnel,
        entry_grain,
        entry_period,
        entered_at,
        precedence,
        steps_completed,
        {%- if paths_may_end_early() %}
        ends_at,
        {%- endif %}
        step_times,
        user_key,
        breakdown
    from day_entries
    {%- for grain in ['week', 'month'] %}
    union all
    select
        funnel,
        entry_grain,
        entry_period,
        {{ list_element('min_by(step_times, ' ~ in_order ~ ')', 1) }} as entered_at,
        max(precedence) as precedence,
        min_by(steps_completed, {{ in_order }}) as steps_completed,
        {%- if paths_may_end_early() %}
        min_by(ends_at, {{ in_order }}) as ends_at,
        {%- endif %}
        min_by(step_times, {{ in_order }}) as step_times,
        user_key,
        min_by(breakdown, {{ in_order }}) as breakdown
    from {{ grain }}_entries
    group by funnel, entry_grain, entry_period, user_key
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

counted_entries as (
    select * from period_entries
    where not {{ is_left_out('period_entries') }}
)

select * from counted_entries
