{{ config(materialized='incremental', unique_key='user_key') }}

with totals as (
    select * from {{ ref('int_user_totals') }}
),

rfm as (
    select
        rfm_scores.user_key,
        rfm_scores.segment
    from {{ ref('rfm_scores') }} as rfm_scores
    inner join {{ ref('int_data_span') }} as span on rfm_scores.as_of_date = span.last_date
),

lifecycle as (
    select * from {{ ref('int_user_lifecycle') }}
),

churn as (
    select * from {{ ref('churn_scores') }}
),

conversion as (
    select * from {{ ref('conversion_scores') }}
),

users as (
    select
        totals.user_key,
        totals.first_seen_at,
        totals.last_seen_at,
        totals.sessions,
        totals.events,
        totals.key_events,
        totals.revenue,
        rfm.segment as rfm_segment,
        lifecycle.lifecycle_state,
        churn.probability as churn_probability,
        conversion.probability as conversion_probability
    from totals
    inner join lifecycle on totals.user_key = lifecycle.user_key
    left join rfm on totals.user_key = rfm.user_key
    left join churn on totals.user_key = churn.user_key
    left join conversion on totals.user_key = conversion.user_key
)

select * from users
