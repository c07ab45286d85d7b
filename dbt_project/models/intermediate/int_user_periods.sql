with days as (
    select
        days.user_key,
        days.activity_date,
        days.revenue,
        anchors.anchor_date
    from {{ ref('user_days') }} as days
    inner join {{ ref('int_user_anchors') }} as anchors on days.user_key = anchors.user_key
    where days.activity_date >= anchors.anchor_date
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
    where grain in ({{ text_list(var('cohorts')['grains']) }})
),

user_periods as (
    select
        activity.grain,
        days.user_key,
        cohort.period_start as cohort_period,
        cast(activity.period_index - cohort.period_index as integer) as period_number,
        sum(days.revenue) as revenue
    from days
    inner join periods as activity
        on
            days.activity_date >= activity.period_start
            and days.activity_date < activity.next_period_start
    inner join periods as cohort
        on
            activity.grain = cohort.grain
            and days.anchor_date >= cohort.period_start
            and days.anchor_date < cohort.next_period_start
    group by activity.grain, days.user_key, cohort.period_start, activity.period_index - cohort.period_index
)

select * from user_periods
