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
        stored_row,
        event_ts
    from {{ stored_events() }} as events
    where
        (source, event_id) in (
            select
                keys.source,
                keys.event_id
            from keys
        )
)

select * from touched_copies
