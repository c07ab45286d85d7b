{{ config(materialized='ephemeral') }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. -#}

{%- set touched_funnels = in_touched_funnels(ref('int_touched_funnels')) if funnels_with('breakdown') %}

with dated as (
    {%- for grain in ['day', 'week', 'month'] %}
    select
        *,
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'entry_date') }} as entry_period
    from {{ ref('int_funnel_entries') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

in_periods as (
    select * from dated
    where
        {{ in_region('periods', 'dated', anew=not stored('funnel_steps')) }}
        {%- if touched_funnels %} or {{ touched_funnels }}{% endif %}
),

period_entries as (
    select
        in_periods.funnel,
        in_periods.entry_grain,
        in_periods.entry_period,
        in_periods.entered_at,
        in_periods.precedence,
        in_periods.steps_completed,
        {%- if paths_may_end_early() %}
        in_periods.ends_at,
        {%- endif %}
        in_periods.step_times,
        in_periods.user_key,
        in_periods.breakdown
    from in_periods
    left join {{ ref('int_funnel_entries_outdone') }} as outdone
        on
            in_periods.funnel = outdone.funnel
            and in_periods.user_key = outdone.user_key
            and in_periods.entry_date = outdone.entry_date
            and in_periods.entry_grain = outdone.entry_grain
    where outdone.user_key is null
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
