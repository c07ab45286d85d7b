-- Money in = money out: the revenue of each event that stays, summed over the lake, is that of every mart that has it.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'sessions'}}}) }}
with revenues as (
    select
        (select coalesce(sum(revenue), 0) from {{ ref('int_events_identified') }}) as came_in,
        (select coalesce(sum(revenue), 0) from {{ ref('events') }}) as of_events,
        (select coalesce(sum(revenue), 0) from {{ ref('sessions') }}) as of_sessions,
        (select coalesce(sum(revenue), 0) from {{ ref('user_days') }}) as of_days,
        (select coalesce(sum(revenue), 0) from {{ ref('users') }}) as of_users
)

select * from revenues
where
    came_in != of_events
    or came_in != of_sessions
    or came_in != of_days
    or came_in != of_users
