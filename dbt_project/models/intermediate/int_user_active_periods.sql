{{ config(materialized='incremental', unique_key=['grain', 'user_key', 'period'], meta={'region': 'users'}) }}

{#- Each period beside the one before and the one after it that the user was active in: lifecycles and rolling counts
    follow from sums over these rows. -#}

with days as (
    select
        user_key,
        activity_date
    from {{ ref('user_days') }} as days
    where {{ in_region('users', 'days') }}
),

active as (
    {%- for grain in ['day', 'week', 'month'] %}
    select
        {{ quoted(grain) }} as grain,
        user_key,
        {{ period_start(grain, 'activity_date') }} as period,
        {{ add_periods(grain, period_start(grain, 'activity_date'), -1) }} as period_before,
        {{ add_periods(grain, period_start(grain, 'activity_date'), 1) }} as period_after,
        count(*) as active_days
    from days
    group by user_key, {{ period_start(grain, 'activity_date') }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

neighbours as (
    select
        *,
        lag(period) over in_order as previous_period,
        lead(period) over in_order as next_period
    from active
    window in_order as (partition by grain, user_key order by period)
),

user_active_periods as (
    select
        grain,
        user_key,
        period,
        active_days,
        previous_period,
        next_period,
        case
            when previous_period is null then 'new'
            when previous_period = period_before then 'returning'
            else 'resurrecting'
        end as state,
        coalesce(next_period = period_after, false) as is_followed
    from neighbours
)

select * from user_active_periods
