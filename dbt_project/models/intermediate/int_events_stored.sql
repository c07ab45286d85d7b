{#- Read once from the large table that the events are; all that follows reads this. -#}

{%- set stored_events = stored('int_events_identified') %}

with events_stored as (
    select
        *,
        cast({{ row_address() if stored_events else 'null' }} as bigint) as stored_row
    from {{ stored_events or ref('stg_events') }} as events
    {%- if stored_events %}
    where {{ in_region('events', 'events', anew=false) }}
    {%- else %}
    where {{ in_region('events', 'events', anew=true) }} and false
    {%- endif %}
)

select * from events_stored
