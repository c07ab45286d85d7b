with days as (
    select * from {{ ref('int_calendar_days') }}
),

calendar_periods as (
    select distinct
        grain,
        period_start,
        next_period_start,
        period_index,
        is_complete
    from days
)

select * from calendar_periods
