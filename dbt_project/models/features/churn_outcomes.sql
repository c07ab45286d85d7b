{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'outcomes',
        'or_where':
            '(as_of, one_user_in) not in '
            '(select as_of, one_user_in from intermediate.int_cutoffs where churn_is_known)',
    },
) }}

{#- The end of the data moves on, and back when a file is withdrawn: either may make known, or unknown, what became of
    users without a change. -#}

{%- set horizon_days = var('churn')['horizon_days'] %}

with cutoffs as (
    select * from {{ ref('int_cutoffs') }}
    where churn_is_known
),

snapshots as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in
    from {{ ref('user_snapshots') }} as snapshots
    inner join cutoffs on snapshots.as_of = cutoffs.as_of
    where
        snapshots.recency_days <= {{ var('churn')['active_within_days'] }}
        and (
            {{ in_region('outcomes', 'snapshots') }}
            {{ or_not_stored('(cutoffs.as_of, cutoffs.one_user_in)', 'as_of, one_user_in') }}
        )
),

activity as (
    select * from {{ ref('int_user_activity') }}
),

outcome_keys as (
    select * from {{ ref('int_outcome_keys') }}
),

churn_outcomes as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in,
        count(activity.user_key) = 0 as churned
    from snapshots
    inner join outcome_keys on snapshots.user_key = outcome_keys.user_key
    left join activity
        on
            outcome_keys.outcome_key = activity.user_key
            and snapshots.as_of <= activity.activity_date
            and {{ add_days('snapshots.as_of', horizon_days) }} > activity.activity_date
    group by snapshots.user_key, snapshots.as_of, snapshots.one_user_in
)

select * from churn_outcomes
