{{ config(materialized='view') }}

with snapshots as (
    select * from {{ ref('user_snapshots') }}
    where recency_days <= {{ var('churn')['active_within_days'] }}
),

outcomes as (
    select * from {{ ref('churn_outcomes') }}
),

churn_features as (
    select
        snapshots.*,
        outcomes.churned
    from snapshots
    left join outcomes
        on
            snapshots.user_key = outcomes.user_key
            and snapshots.as_of = outcomes.as_of
)

select * from churn_features
