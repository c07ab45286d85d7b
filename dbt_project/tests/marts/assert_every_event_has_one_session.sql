-- Sessions come from slices of the clock, not from events: were a slice ever lost or doubled,
-- events would vanish from the mart or appear in it twice.
{{ config(meta={'dagster': {'ref': {'name': 'events'}}}) }}
with counts as (
    select
        (select count(*) from {{ ref('int_events_identified') }}) as identified,
        (select count(*) from {{ ref('events') }}) as placed
)

select * from counts
where identified != placed
