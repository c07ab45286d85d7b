{%- set horizon_days = var('churn')['horizon_days'] %}

with snapshots as (
    select * from {{ ref('user_snapshots') }}
    where recency_days <= {{ var('churn')['active_within_days'] }}
),

cutoffs as (
    select
        as_of,
        {{ local_timestamp('last_event_ts') }} >= cast({{ add_days('as_of', horizon_days) }} as timestamp)
            as horizon_is_past
    from {{ ref('int_cutoffs') }}
),

activity as (
    select * from {{ ref('int_user_activity') }}
),

outcome_keys as (
    select * from {{ ref('int_outcome_keys') }}
),

outcomes as (
    select
        snapshots.user_key,
        snapshots.as_of,
        count(activity.user_key) = 0 as churned
    from snapshots
    inner join outcome_keys on snapshots.user_key = outcome_keys.user_key
    left join activity
        on
            outcome_keys.outcome_key = activity.user_key
            and snapshots.as_of <= activity.activity_date
            and {{ add_days('snapshots.as_of', horizon_days) }} > activity.activity_date
    group by snapshots.user_key, snapshots.as_of
),

churn_features as (
    select
        snapshots.*,
        case when cutoffs.horizon_is_past then outcomes.churned end as churned
    from snapshots
    inner join cutoffs on snapshots.as_of = cutoffs.as_of
    inner join outcomes
        on
            snapshots.user_key = outcomes.user_key
            and snapshots.as_of = outcomes.as_of
)

select * from churn_features
