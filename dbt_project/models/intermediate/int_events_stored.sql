{#- Read once from the large table that the events are; all that follows reads this. A row's moment, unlike its address,
    keeps the engine from reading the other columns of most rows in vain. -#}

with touched_events as (
    select * from {{ ref('int_touched_events') }}
),

events_stored as (
    select * from {{ stored_events() }} as events
    where
        event_ts in (select touched_events.event_ts from touched_events)
        and stored_row in (select touched_events.stored_row from touched_events)
)

select * from events_stored
