-- Whoever has an event has a session and a day, and nobody else has.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'sessions'}}}) }}
with memberships as (
    select distinct user_key from {{ ref('events') }}
    union all
    select distinct user_key from {{ ref('sessions') }}
    union all
    select distinct user_key from {{ ref('user_days') }}
),

counts as (
    select
        user_key,
        count(*) as marts
    from memberships
    group by user_key
)

select * from counts
where marts != 3
