with user_periods as (
    select * from {{ ref('int_user_periods') }}
),

profiles as (
    select * from {{ ref('int_user_profiles') }}
),

cohort_activity as (
    select
        user_periods.grain,
        user_periods.cohort_period,
        user_periods.period_number,
        profiles.profile,
        count(*) as retained_users,
        count(*) filter (where user_periods.is_last) as last_users,
        sum(user_periods.revenue) as revenue
    from user_periods
    left join profiles on user_periods.user_key = profiles.user_key
    group by user_periods.grain, user_periods.cohort_period, user_periods.period_number, profiles.profile
)

select * from cohort_activity
