-- Every user has one value of each property, so the cohorts of its values are together the cohort of all.
{{ config(meta={'dagster': {'ref': {'name': 'cohort_retention_by_property'}}}) }}
with summed as (
    select
        grain,
        property,
        cohort_period,
        period_number,
        sum(cohort_users) as cohort_users,
        sum(retained_users) as retained_users,
        sum(on_or_after_users) as on_or_after_users,
        sum(revenue) as revenue
    from {{ ref('cohort_retention_by_property') }}
    group by grain, property, cohort_period, period_number
),

properties as (
    select distinct property from summed
),

expected as (
    select
        whole.*,
        properties.property
    from {{ ref('cohort_retention') }} as whole
    cross join properties
)

select
    expected.property,
    expected.cohort_period,
    expected.period_number,
    expected.cohort_users,
    summed.cohort_users as summed_users
from expected
full outer join summed
    on
        expected.grain = summed.grain
        and expected.property = summed.property
        and expected.cohort_period = summed.cohort_period
        and expected.period_number = summed.period_number
where
    expected.cohort_users is distinct from summed.cohort_users
    or expected.retained_users is distinct from summed.retained_users
    or expected.on_or_after_users is distinct from summed.on_or_after_users
    or expected.revenue is distinct from summed.revenue
