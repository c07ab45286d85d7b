-- Whoever has an event is a user with a session and a day, and nobody else is.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'users'}}}) }}
with memberships as (
    select distinct
        user_key,
        'events' as mart
    from {{ ref('events') }}
    union all
    select distinct
        user_key,
        'sessions' as mart
    from {{ ref('sessions') }}
    union all
    select distinct
        user_key,
        'user_days' as mart
    from {{ ref('user_days') }}
    union all
    select
        user_key,
        'users' as mart
    from {{ ref('users') }}
),

counts as (
    select
        user_key,
        count(*) as marts
    from memberships
    group by user_key
)

select * from counts
where marts != 4
