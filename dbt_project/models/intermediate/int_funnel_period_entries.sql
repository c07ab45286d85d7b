{{ config(materialized='ephemeral') }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. -#}

with best as (
    select * from {{ ref('funnel_users') }}
),

placed as (
    {%- for grain in ['day', 'week', 'month'] %}
    select
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'entry_date') }} as entry_period,
        *
    from {{ ref('int_funnel_entries') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by funnel, user_key, entry_grain, entry_period
            order by steps_completed desc, entered_at asc, last_step_at asc
        ) as entry_rank
    from placed
    where {{ in_region('periods', 'placed', anew=not stored('funnel_steps')) }}
),

period_entries as (
    select
        funnel,
        entry_grain,
        entry_period,
        'all' as breakdown,
        entered_at,
        steps_completed,
        step_times
    from ranked
    where entry_rank = 1
    union all
    select
        funnel,
        'all' as entry_grain,
        cast(null as date) as entry_period,
        'all' as breakdown,
        entered_at,
        steps_completed,
        step_times
    from best
)

select * from period_entries
