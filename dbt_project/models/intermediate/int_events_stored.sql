{#- Read once from the large table that the events are; all that follows reads this. -#}

{%- set stored_events = stored('int_events_identified') %}

with events as (
    select * from {{ stored_events or ref('stg_events') }}
),

events_stored as (
    select * from events
    {%- if stored_events %}
    where {{ in_region('events', 'events', anew=false) }}
    {%- else %}
    where {{ in_region('events', 'events', anew=true) }} and false
    {%- endif %}
)

select * from events_stored
