{{ config(materialized='incremental', unique_key=['grain', 'property', 'value', 'cohort_period', 'period_number']) }}

{#- All users of a profile have the same properties, so that one stands for them. -#}

with profiles as (
    select
        profile,
        min(user_key) as user_key
    from {{ ref('int_user_profiles') }}
    group by profile
),

profile_values as (
    select
        profiles.profile,
        properties.property,
        properties.value
    from profiles
    inner join {{ ref('int_user_properties_shown') }} as properties on profiles.user_key = properties.user_key
),

cohort_activity as (
    select
        of_profiles.*,
        profile_values.property,
        profile_values.value
    from {{ ref('int_cohort_activity') }} as of_profiles
    inner join profile_values on of_profiles.profile = profile_values.profile
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
