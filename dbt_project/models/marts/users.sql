{{ config(
    materialized='incremental',
    unique_key='user_key',
) }}

with sessions as (
    select
        user_key,
        min(started_at) as first_seen_at,
        max(ended_at) as last_seen_at,
        count(*) as sessions,
        cast(sum(events) as bigint) as events,
        cast(sum(key_events) as bigint) as key_events,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from {{ ref('sessions') }}
    group by user_key
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
        sessions.user_key,
        sessions.first_seen_at,
        sessions.last_seen_at,
        sessions.sessions,
        sessions.events,
        sessions.key_events,
        sessions.revenue,
        rfm.segment as rfm_segment,
        lifecycle.lifecycle_state,
        churn.probability as churn_probability,
        conversion.probability as conversion_probability
    from sessions
    inner join lifecycle on sessions.user_key = lifecycle.user_key
    left join rfm on sessions.user_key = rfm.user_key
    left join churn on sessions.user_key = churn.user_key
    left join conversion on sessions.user_key = conversion.user_key
)

select * from users
