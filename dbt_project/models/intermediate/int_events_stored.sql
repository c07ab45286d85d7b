{#- Read once from the large table that the events are; all that follows reads this. A row's moment, unlike its address,
    keeps the engine from reading the other columns of most rows in vain. -#}

{%- set stored_events = stored('int_events_identified') %}
{%- set touched_events = ref('int_touched_events') %}

with events_stored as (
    select
        *,
        cast({{ row_address() if stored_events else 'null' }} as bigint) as stored_row
    from {{ stored_events or ref('stg_events') }} as events
    {%- if stored_events %}
    where
        event_ts in (select touched.event_ts from {{ touched_events }} as touched)
        and {{ row_address() }} in (select touched.stored_row from {{ touched_events }} as touched)
    {%- else %}
    where false
    {%- endif %}
)

select * from events_stored
