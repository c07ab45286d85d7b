{{ config(materialized='view') }}

{#- The stored event is the least of its copies so far, so it stands for them; when one of them has gone, all that are
    left must be looked at again. Where all is built anew, nothing counts as changed or stored. -#}

{%- set columns = canonical_event_columns() | join(', ') %}
{%- set went = loads_that_went() if stored('int_events_identified') else [] %}

with changed as (
    select * from {{ ref('stg_events_changed') }}
),

stored_events as (
    select * from {{ ref('int_events_stored') }}
),

all_copies as (
    select * from {{ ref('stg_events') }}
),

left_behind as (
    select * from all_copies
    {%- if went %}
    where
        exists (
            select 1 from changed
            where
                not changed.is_live
                and changed.source = all_copies.source
                and changed.event_id = all_copies.event_id
        )
    {%- elif stored('int_events_identified') %}
    where false
    {%- endif %}
),

event_copies as (
    select {{ columns }} from changed
    where is_live
    union all
    select {{ columns }} from stored_events
    {%- if went %}
    where load_id not in ({{ text_list(went) }})
    {%- endif %}
    {#- What a build that was killed has stored comes again, and what is left behind may be stored: once is enough. #}
    {{ 'union' if stored('int_events_identified') else 'union all' }}
    select {{ columns }} from left_behind
)

select * from event_copies
