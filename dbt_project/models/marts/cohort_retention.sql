{{ config(
    materialized='incremental',
    unique_key=['grain', 'cohort_period', 'period_number'],
) }}

with user_periods as (
    select * from {{ ref('int_user_periods') }}
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
),

activity as (
    select
        grain,
        cohort_period,
        period_number,
        count(*) as retained_users,
        sum(revenue) as revenue
    from user_periods
    group by grain, cohort_period, period_number
),

cells as (
    select
        cohort.grain,
        cohort.period_start as cohort_period,
        cast(period.period_index - cohort.period_index as integer) as period_number,
        activity.retained_users as cohort_users,
        period.is_complete
    from activity
    inner join periods as cohort
        on
            activity.grain = cohort.grain
            and activity.cohort_period = cohort.period_start
    inner join periods as period
        on
            cohort.grain = period.grain
            and cohort.period_index <= period.period_index
    where activity.period_number = 0
),

counted as (
    select
        cells.*,
        coalesce(activity.retained_users, 0) as retained_users,
        cast(coalesce(activity.revenue, 0) as decimal(18, 4)) as revenue,
        coalesce(activity.retained_users, 0) / cast(cells.cohort_users as double) as retention_rate
    from cells
    left join activity
        on
            cells.grain = activity.grain
            and cells.cohort_period = activity.cohort_period
            and cells.period_number = activity.period_number
),

cohort_retention as (
    select
        grain,
        cohort_period,
        period_number,
        cohort_users,
        retained_users,
        retention_rate,
        {{ wilson_bound('retention_rate', 'cohort_users', '-') }} as rate_low,
        {{ wilson_bound('retention_rate', 'cohort_users', '+') }} as rate_high,
        revenue,
        is_complete
    from counted
)

select * from cohort_retention
