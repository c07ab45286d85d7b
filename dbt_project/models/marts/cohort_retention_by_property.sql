{{ config(materialized='incremental', unique_key=['grain', 'property', 'value', 'cohort_period', 'period_number']) }}

with user_periods as (
    select
        user_periods.*,
        properties.property,
        coalesce(known.shown_as, '(none)') as value
    from {{ ref('int_user_periods') }} as user_periods
    inner join {{ ref('int_user_anchor_properties') }} as properties
        on user_periods.user_key = properties.user_key
    left join {{ ref('int_cohort_property_values') }} as known
        on
            properties.property = known.property
            and properties.value = known.value
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
),

{{ counted_retention(['property', 'value']) }},

cohort_retention_by_property as (
    select
        grain,
        property,
        value,
        cohort_period,
        period_number,
        {{ retention_with_intervals() }},
        revenue_retention,
        is_complete
    from rated
)

select * from cohort_retention_by_property
