-- Retained users are members of the cohort, period 0 is all of it, a Wilson interval always holds its own rate, and
-- fewer and fewer are active from a period on.
{{ config(meta={'dagster': {'ref': {'name': 'cohort_retention'}}}) }}
with followed as (
    select
        *,
        lead(on_or_after_users) over (
            partition by grain, cohort_period
            order by period_number
        ) as next_on_or_after_users
    from {{ ref('cohort_retention') }}
)

select *
from followed
where
    retained_users > cohort_users
    or retained_users > on_or_after_users
    or on_or_after_users > cohort_users
    or on_or_after_users < next_on_or_after_users
    or (period_number = 0 and retained_users != cohort_users)
    or period_number < 0
    or retention_rate not between rate_low and rate_high
    or on_or_after_rate not between on_or_after_low and on_or_after_high
