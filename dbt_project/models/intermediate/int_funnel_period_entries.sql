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
    from dated as entries
    where
        (
            {{ in_region('periods', 'entries', anew=not stored('funnel_steps')) }}
            {%- if touched_funnels %} or {{ touched_funnels }}{% endif %}
        )
        and not exists (
            select 1 from {{ ref('int_funnel_entries_outdone') }} as outdone
            where
                outdone.funnel = entries.funnel
                and outdone.user_key = entries.user_key
                and outdone.entry_date = entries.entry_date
                and outdone.entry_grain = entries.entry_grain
        )
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
