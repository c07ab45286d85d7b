{{ config(materialized='incremental', unique_key=['grain', 'cohort_period', 'period_number']) }}

with cohort_activity as (
    select * from {{ ref('int_cohort_activity') }}
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
),

{{ counted_retention() }},

cohort_retention as (
    select
        grain,
        cohort_period,
        period_number,
        {{ retention_with_intervals() }},
        revenue_retention,
        is_complete
    from rated
)

select * from cohort_retention
