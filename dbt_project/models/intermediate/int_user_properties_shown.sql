{{ config(materialized='ephemeral') }}

with properties as (
    select * from {{ ref('int_user_anchor_properties') }}
),

property_values as (
    select * from {{ ref('int_cohort_property_values') }}
),

properties_shown as (
    select
        properties.user_key,
        properties.property,
        coalesce(property_values.shown_as, '(none)') as value
    from properties
    left join property_values
        on
            properties.property = property_values.property
            and properties.value = property_values.value
)

select * from properties_shown
