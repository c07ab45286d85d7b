{{ config(
    materialized='incremental',
    unique_key=['funnel', 'user_key', 'entry_date', 'entry_grain'],
    meta={'region': 'users'},
) }}

{#- What comes late may outdo an entry of a day that it does not reach, so that a user's entries are ranked whole. Most
    are alone in their week and month: the few others are kept, lest all be grouped whenever they are counted. -#}

with ranked as (
    {%- for grain in ['week', 'month'] %}
    select
        funnel,
        user_key,
        entry_date,
        {{ quoted(grain) }} as entry_grain,
        row_number() over (
            partition by funnel, user_key, {{ period_start(grain, 'entry_date') }}
            order by precedence desc, entered_at asc
        ) as entry_rank
    from {{ ref('int_funnel_entries') }} as days
    where {{ in_region('users', 'days') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

entries_outdone as (
    select
        funnel,
        user_key,
        entry_date,
        entry_grain
    from ranked
    where entry_rank > 1
)

select * from entries_outdone
