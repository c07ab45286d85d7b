-- Whoever is active is new, returning or resurrecting, and whoever was active in the period before is returning or
-- dormant now: the active users are counted afresh, from the days.
{{ config(meta={'dagster': {'ref': {'name': 'lifecycle'}}}) }}
with active as (
    select
        calendar.grain,
        calendar.period_start as period,
        calendar.next_period_start as next_period,
        count(distinct days.user_key) as users
    from {{ ref('user_days') }} as days
    inner join {{ ref('int_calendar_days') }} as calendar on days.activity_date = calendar.day
    group by calendar.grain, calendar.period_start, calendar.next_period_start
),

states as (
    select
        grain,
        period,
        sum(users) filter (where state != 'dormant') as active_users,
        sum(users) filter (where state in ('returning', 'dormant')) as active_users_before
    from {{ ref('lifecycle') }}
    group by grain, period
)

select states.*
from states
left join active
    on
        states.grain = active.grain
        and states.period = active.period
left join active as before
    on
        states.grain = before.grain
        and states.period = before.next_period
where
    states.active_users != coalesce(active.users, 0)
    or states.active_users_before != coalesce(before.users, 0)
