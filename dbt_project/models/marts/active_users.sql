{{ config(materialized='incremental', unique_key='activity_date') }}

{#- A user enters a rolling count on an active day, unless still in it from the one before, and leaves it so many days
    after one that no other follows in time. Sums of these moves give the exact distinct users, without a distinct. -#}

{%- set windows = {'dau': 1, 'wau': 7, 'mau': 30} %}

with active as (
    select * from {{ ref('int_user_active_periods') }}
    where grain = 'day'
),

moves as (
    {%- for name, days in windows.items() %}
    select
        {{ quoted(name) }} as name,
        period as day,
        count(*) as users
    from active
    where previous_period is null or {{ days_between('previous_period', 'period') }} >= {{ days }}
    group by period
    union all
    select
        {{ quoted(name) }} as name,
        {{ add_days('period', days) }} as day,
        -count(*) as users
    from active
    where next_period is null or {{ days_between('period', 'next_period') }} >= {{ days }}
    group by period
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

calendar as (
    select * from {{ ref('int_calendar_days') }}
    where grain = 'day'
),

daily as (
    select
        calendar.day as activity_date,
        calendar.is_complete,
        {%- for name in windows %}
        coalesce(sum(moves.users) filter (where moves.name = {{ quoted(name) }}), 0) as {{ name }}_change
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from calendar
    left join moves on calendar.day = moves.day
    group by calendar.day, calendar.is_complete
),

rolling as (
    select
        activity_date,
        {%- for name in windows %}
        cast(sum({{ name }}_change) over by_day as bigint) as {{ name }},
        {%- endfor %}
        is_complete
    from daily
    window by_day as (order by activity_date rows between unbounded preceding and current row)
),

active_users as (
    select
        activity_date,
        dau,
        wau,
        mau,
        dau / nullif(cast(wau as double), 0) as dau_per_wau,
        dau / nullif(cast(mau as double), 0) as dau_per_mau,
        wau / nullif(cast(mau as double), 0) as wau_per_mau,
        is_complete
    from rolling
)

select * from active_users
