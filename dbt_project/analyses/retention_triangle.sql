-- What share of each weekly cohort comes back, 1 to 8 weeks later?
pivot (
    select
        cohort_period as cohort,
        cohort_users as users,
        period_number as week,
        round(100 * retention_rate, 1) as percent
    from cohort_retention
    where grain = 'week' and is_complete
)
on week in (1, 2, 3, 4, 5, 6, 7, 8)
using first(percent)
group by cohort, users
order by cohort
