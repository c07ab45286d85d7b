-- Counts and money travel from events through slices to sessions; nothing may leak on the way,
-- and a session must hold just the events that carry its id.
{{ config(meta={'dagster': {'ref': {'name': 'sessions'}}}) }}
with from_events as (
    select
        session_id,
        count(*) as events,
        coalesce(sum(revenue), 0) as revenue,
        min(event_ts) as started_at,
        max(event_ts) as ended_at
    from {{ ref('events') }}
    group by session_id
)

select
    sessions.session_id,
    sessions.events,
    from_events.events as counted_events
from {{ ref('sessions') }} as sessions
full outer join from_events on sessions.session_id = from_events.session_id
where
    sessions.events is distinct from from_events.events
    or sessions.revenue is distinct from from_events.revenue
    or sessions.started_at is distinct from from_events.started_at
    or sessions.ended_at is distinct from from_events.ended_at
