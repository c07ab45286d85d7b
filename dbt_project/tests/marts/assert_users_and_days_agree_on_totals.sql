-- The same events and the same money, whichever way they are cut: by user or by user and day.
{{ config(meta={'dagster': {'ref': {'name': 'users'}}}) }}
with by_user as (
    select
        count(*) as users,
        sum(events) as events,
        sum(revenue) as revenue
    from {{ ref('users') }}
),

by_day as (
    select
        count(distinct user_key) as users,
        sum(events) as events,
        sum(revenue) as revenue
    from {{ ref('user_days') }}
)

select by_user.*
from by_user
cross join by_day
where
    by_user.users != by_day.users
    or by_user.events is distinct from by_day.events
    or by_user.revenue is distinct from by_day.revenue
