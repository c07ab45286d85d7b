with properties as (
    select * from {{ ref('int_user_anchor_properties') }}
    where value is not null
),

counted as (
    select
        property,
        value,
        count(*) as users
    from properties
    group by property, value
),

ranked as (
    select
        *,
        row_number() over (partition by property order by users desc, value asc) as value_rank
    from counted
),

cohort_property_values as (
    select
        property,
        value,
        case when value_rank <= {{ var('cohorts')['top_values'] }} then value else '(other)' end as shown_as
    from ranked
)

select * from cohort_property_values
