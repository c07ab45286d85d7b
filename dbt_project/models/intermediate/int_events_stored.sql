{#- Read once from the large table that the events are; all that follows reads this. -#}

{%- set stored_events = stored('int_events_identified') %}
{%- set touched_rows = '(select touched.stored_row from ' ~ ref('int_touched_events') ~ ' as touched)' %}

with events_stored as (
    select
        *,
        cast({{ row_address() if stored_events else 'null' }} as bigint) as stored_row
    from {{ stored_events or ref('stg_events') }} as events
    where {{ row_address() ~ ' in ' ~ touched_rows if stored_events else 'false' }}
)

select * from events_stored
