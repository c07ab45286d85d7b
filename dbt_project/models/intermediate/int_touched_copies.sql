{{ config(materialized='ephemeral') }}

{#- No more than an event's key and its moment is read of the many that are stored: their ids are long. -#}

with keys as (
    select distinct
        source,
        event_id
    from {{ ref('stg_events_changed') }}
),

touched_copies as (
    select
        events.stored_row,
        events.event_ts
    from {{ stored_events() }} as events
    inner join keys
        on
            events.event_id = keys.event_id
            and events.source = keys.source
)

select * from touched_copies
