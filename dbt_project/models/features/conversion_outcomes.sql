{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'outcomes',
        'or_where':
            '(as_of, one_user_in) not in '
            '(select as_of, one_user_in from intermediate.int_cutoffs where conversion_is_known)',
    },
) }}

{#- As with churn, the end of the data may make known, or unknown, what became of users without a change. -#}

{%- set horizon_days = var('conversion')['horizon_days'] %}

with cutoffs as (
    select * from {{ ref('int_cutoffs') }}
    where conversion_is_known
),

snapshots as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in
    from {{ ref('user_snapshots') }} as snapshots
    inner join cutoffs on snapshots.as_of = cutoffs.as_of
    where
        snapshots.recency_days <= {{ var('conversion')['active_within_days'] }}
        and (
            {{ in_region('outcomes', 'snapshots') }}
            {{ or_not_stored('(cutoffs.as_of, cutoffs.one_user_in)', 'as_of, one_user_in') }}
        )
),

activity as (
    select * from {{ ref('int_user_activity') }}
    where conversions > 0
),

outcome_keys as (
    select * from {{ ref('int_outcome_keys') }}
),

conversion_outcomes as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in,
        count(activity.user_key) > 0 as converted
    from snapshots
    inner join outcome_keys on snapshots.user_key = outcome_keys.user_key
    left join activity
        on
            outcome_keys.outcome_key = activity.user_key
            and snapshots.as_of <= activity.activity_date
            and {{ add_days('snapshots.as_of', horizon_days) }} > activity.activity_date
    group by snapshots.user_key, snapshots.as_of, snapshots.one_user_in
)

select * from conversion_outcomes
