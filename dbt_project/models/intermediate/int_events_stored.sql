{#- Read once from the large table that the events are; all that follows reads this. -#}

{%- set stored_events = stored('int_events_identified') %}

with touched as (
    select * from {{ ref('int_touched_events') }}
),

events_stored as (
    select
        *,
        cast({{ row_address() if stored_events else 'null' }} as bigint) as stored_row
    from {{ stored_events or ref('stg_events') }} as events
    where {{ row_address() ~ ' in (select touched.stored_row from touched)' if stored_events else 'false' }}
)

select * from events_stored
