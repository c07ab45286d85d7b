-- Money in = money out: the revenue of the events left after de-duplication is that of events, sessions and days.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'sessions'}}}) }}
with revenues as (
    select
        (select coalesce(sum(revenue), 0) from {{ ref('int_events_identified') }}) as of_kept_events,
        (select coalesce(sum(revenue), 0) from {{ ref('events') }}) as of_events,
        (select coalesce(sum(revenue), 0) from {{ ref('sessions') }}) as of_sessions,
        (select coalesce(sum(revenue), 0) from {{ ref('user_days') }}) as of_days
)

select * from revenues
where
    of_kept_events != of_events
    or of_kept_events != of_sessions
    or of_kept_events != of_days
