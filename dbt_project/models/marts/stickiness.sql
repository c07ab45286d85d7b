{{ config(materialized='incremental', unique_key=['grain', 'period', 'active_days']) }}

with active as (
    select * from {{ ref('int_user_active_periods') }}
    where grain in ('week', 'month')
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
),

counted as (
    select
        grain,
        period,
        active_days,
        count(*) as users
    from active
    group by grain, period, active_days
),

stickiness as (
    select
        counted.grain,
        counted.period,
        cast(counted.active_days as integer) as active_days,
        counted.users,
        counted.users / cast(
            sum(counted.users) over (partition by counted.grain, counted.period) as double
        ) as share,
        periods.is_complete
    from counted
    inner join periods
        on
            counted.grain = periods.grain
            and counted.period = periods.period_start
)

select * from stickiness
