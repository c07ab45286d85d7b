{{ config(
    materialized='incremental',
    unique_key=['funnel', 'entry_grain', 'entry_period', 'breakdown', 'user_key'],
    meta={'region': 'users'},
) }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. -#}

with entries as (
    select
        *,
        cast({{ local_timestamp('entered_at') }} as date) as entry_date
    from {{ ref('int_funnel_entries') }} as attempts
    where {{ in_region('users', 'attempts') }}
),

periods as (
    select
        'all' as entry_grain,
        cast(null as date) as entry_period,
        entries.*
    from entries
    {%- for grain in ['day', 'week', 'month'] %}
    union all
    select
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'entry_date') }} as entry_period,
        entries.*
    from entries
    {%- endfor %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by funnel, entry_grain, entry_period, user_key
            order by steps_completed desc, entered_at asc, last_step_at asc
        ) as entry_rank
    from periods
),

period_entries as (
    select
        funnel,
        entry_grain,
        entry_period,
        'all' as breakdown,
        user_key,
        entered_at,
        steps_completed,
        step_times
    from ranked
    where entry_rank = 1
)

select * from period_entries
