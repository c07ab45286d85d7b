-- Retained users are members of the cohort, period 0 is all of it, and a Wilson interval
-- always holds its own rate.
{{ config(meta={'dagster': {'ref': {'name': 'cohort_retention'}}}) }}
select *
from {{ ref('cohort_retention') }}
where
    retained_users > cohort_users
    or (period_number = 0 and retained_users != cohort_users)
    or period_number < 0
    or retention_rate not between rate_low - 1e-12 and rate_high + 1e-12
