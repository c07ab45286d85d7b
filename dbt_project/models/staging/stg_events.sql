{#- A row whose event id is null is named by what it says, so that the same row sent twice is one event. -#}

with events as (
    select * from {{ lake_events() }}
),

named as (
    select
        coalesce(events.event_id, {{ content_hash('events') }}) as event_id,
        {%- for column in canonical_event_columns() if column != 'event_id' %}
        events.{{ column }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from events
)

select * from named
