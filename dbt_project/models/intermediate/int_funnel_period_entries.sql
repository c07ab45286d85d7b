{{ config(
    materialized='incremental',
    unique_key=['funnel', 'entry_grain', 'entry_period', 'breakdown', 'user_key'],
    meta={'region': 'users'},
) }}

{#- A period constrains the first step only: in each, a user counts once, by the best entry of that period. The best
    of a week is the best of its days' best, and so on. -#}

{%- set grains = {'day': 'entries', 'week': 'day_entries', 'month': 'day_entries', 'all': 'month_entries'} %}

with entries as (
    select
        *,
        cast({{ local_timestamp('entered_at') }} as date) as entry_date
    from {{ ref('int_funnel_entries') }} as attempts
    where {{ in_region('users', 'attempts') }}
),
{% for grain, finer in grains.items() %}
{%- set period = 'cast(null as date)' if grain == 'all' else period_start(grain, 'entry_date') %}
{{ grain }}_ranked as (
    select
        *,
        row_number() over (
            partition by funnel, user_key, {{ period }}
            order by steps_completed desc, entered_at asc, last_step_at asc
        ) as entry_rank
    from {{ finer }}
),

{{ grain }}_entries as (
    select
        funnel,
        user_key,
        entered_at,
        entry_date,
        steps_completed,
        last_step_at,
        step_times
    from {{ grain }}_ranked
    where entry_rank = 1
),
{% endfor %}
period_entries as (
    {%- for grain in grains %}
    select
        funnel,
        {{ quoted(grain) }} as entry_grain,
        {{ 'cast(null as date)' if grain == 'all' else period_start(grain, 'entry_date') }} as entry_period,
        'all' as breakdown,
        user_key,
        entered_at,
        steps_completed,
        step_times
    from {{ grain }}_entries
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from period_entries
