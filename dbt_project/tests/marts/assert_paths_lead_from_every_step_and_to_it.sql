-- Every event is either the last of its session or followed by another, and either the first or preceded by one; so
-- there are as many transitions as events less sessions.
{{ config(meta={'dagster': {'ref': {'name': 'path_transitions'}}}) }}
with steps as (
    select
        steps.step,
        steps.events,
        steps.entries,
        steps.exits,
        coalesce((
            select sum(moves.transitions) from {{ ref('path_transitions') }} as moves
            where moves.from_step = steps.step
        ), 0) as departures,
        coalesce((
            select sum(moves.transitions) from {{ ref('path_transitions') }} as moves
            where moves.to_step = steps.step
        ), 0) as arrivals
    from {{ ref('path_steps') }} as steps
),

sums as (
    select
        sum(events) as events,
        sum(entries) as entries
    from steps
)

select step from steps
where events != exits + departures or events != entries + arrivals
union all
select 'all' as step
from sums
where
    entries != (select count(*) from {{ ref('sessions') }})
    or events != (select sum(sessions.events) from {{ ref('sessions') }} as sessions)
