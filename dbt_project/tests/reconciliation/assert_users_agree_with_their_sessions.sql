-- Whoever has a session is a user, with the revenue and the events of all of theirs, and nobody else is. Users are
-- built after the scores, in a dbt run of their own: a test that named what does not lead to them would not run.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'users'}}}) }}
with summed as (
    select
        user_key,
        sum(events) as events,
        sum(revenue) as revenue
    from {{ ref('sessions') }}
    group by user_key
)

select
    coalesce(users.user_key, summed.user_key) as user_key,
    users.events,
    summed.events as summed_events,
    users.revenue,
    summed.revenue as summed_revenue
from {{ ref('users') }} as users
full outer join summed on users.user_key = summed.user_key
where
    users.events is distinct from summed.events
    or users.revenue is distinct from summed.revenue
