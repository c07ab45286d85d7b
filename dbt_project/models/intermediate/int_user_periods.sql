{{ config(
    materialized='incremental',
    unique_key=['grain', 'user_key', 'cohort_period', 'period_number'],
    meta={'region': 'users'},
) }}

with last_days as (
    select
        user_key,
        max(activity_date) as last_date
    from {{ ref('user_days') }} as days
    where {{ in_region('users', 'days') }}
    group by user_key
),

days as (
    select
        days.user_key,
        days.activity_date,
        days.revenue,
        anchors.anchor_date,
        last_days.last_date
    from {{ ref('user_days') }} as days
    inner join {{ ref('int_user_anchors') }} as anchors on days.user_key = anchors.user_key
    inner join last_days on days.user_key = last_days.user_key
    where
        {{ in_region('users', 'days') }}
        and days.activity_date >= anchors.anchor_date
),

calendar as (
    select * from {{ ref('int_calendar_days') }}
    where grain in ({{ text_list(var('cohorts')['grains']) }})
),

user_periods as (
    select
        active.grain,
        days.user_key,
        cohort.period_start as cohort_period,
        cast(active.period_index - cohort.period_index as integer) as period_number,
        sum(days.revenue) as revenue,
        max(days.activity_date) = max(days.last_date) as is_last
    from days
    inner join calendar as active on days.activity_date = active.day
    inner join calendar as cohort
        on
            active.grain = cohort.grain
            and days.anchor_date = cohort.day
    group by active.grain, days.user_key, cohort.period_start, active.period_index - cohort.period_index
)

select * from user_periods
