-- A bracket's cohorts are those of the calendar periods, and whoever is active in it or later is a member.
{{ config(meta={'dagster': {'ref': {'name': 'cohort_retention_brackets'}}}) }}
select brackets.*
from {{ ref('cohort_retention_brackets') }} as brackets
left join {{ ref('cohort_retention') }} as whole
    on
        brackets.grain = whole.grain
        and brackets.cohort_period = whole.cohort_period
        and whole.period_number = 0
where
    brackets.cohort_users is distinct from whole.cohort_users
    or brackets.retained_users > brackets.on_or_after_users
    or brackets.on_or_after_users > brackets.cohort_users
    or brackets.retention_rate not between brackets.rate_low and brackets.rate_high
    or brackets.on_or_after_rate not between brackets.on_or_after_low and brackets.on_or_after_high
