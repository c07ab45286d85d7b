{#- Read once from the large table that the events are; all that follows reads this. By their moments, blocks of other
    times are passed over. -#}

with touched_events as (
    select * from {{ ref('int_touched_events') }}
),

moments as (
    select distinct event_ts
    from touched_events
),

events_stored as (
    select events.*
    from {{ stored_events() }} as events
    inner join moments on events.event_ts = moments.event_ts
    where events.stored_row in (select touched_events.stored_row from touched_events)
)

select * from events_stored
