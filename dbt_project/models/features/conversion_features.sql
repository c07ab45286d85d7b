{%- set horizon_days = var('conversion')['horizon_days'] %}

with snapshots as (
    select * from {{ ref('user_snapshots') }}
    where recency_days <= {{ var('conversion')['active_within_days'] }}
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
        coalesce(sum(activity.conversions), 0) > 0 as converted
    from snapshots
    inner join outcome_keys on snapshots.user_key = outcome_keys.user_key
    left join activity
        on
            outcome_keys.outcome_key = activity.user_key
            and snapshots.as_of <= activity.activity_date
            and {{ add_days('snapshots.as_of', horizon_days) }} > activity.activity_date
    group by snapshots.user_key, snapshots.as_of
),

conversion_features as (
    select
        snapshots.*,
        case when cutoffs.horizon_is_past then outcomes.converted end as converted
    from snapshots
    inner join cutoffs on snapshots.as_of = cutoffs.as_of
    inner join outcomes
        on
            snapshots.user_key = outcomes.user_key
            and snapshots.as_of = outcomes.as_of
)

select * from conversion_features
