{{ config(materialized='view') }}

with snapshots as (
    select * from {{ ref('user_snapshots') }}
    where recency_days <= {{ var('conversion')['active_within_days'] }}
),

outcomes as (
    select * from {{ ref('conversion_outcomes') }}
),

conversion_features as (
    select
        snapshots.*,
        outcomes.converted
    from snapshots
    left join outcomes
        on
            snapshots.user_key = outcomes.user_key
            and snapshots.as_of = outcomes.as_of
)

select * from conversion_features
