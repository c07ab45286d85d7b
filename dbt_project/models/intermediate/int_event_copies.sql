{{ config(materialized='view') }}

{#- The stored event is the least of its copies so far, so it stands for them; when one of them has gone, all that are
    left must be looked at again. -#}
-- depends_on: {{ ref('stg_events') }}, {{ ref('stg_events_changed') }}, {{ ref('int_touched_events') }}

{%- set stored_events = stored('int_events_identified') %}
{%- set columns = canonical_event_columns() | join(', ') %}

{%- if not stored_events %}

with event_copies as (
    select * from {{ ref('stg_events') }}
)

{%- else %}

{%- set went = loads_that_went() %}

with changed as (
    select * from {{ ref('stg_events_changed') }}
),

stored_events as (
    select * from {{ stored_events }} as stored
    where {{ in_region('events', 'stored', anew=false) }}
),

event_copies as (
    select {{ columns }} from changed
    where is_live
    union all
    select {{ columns }} from stored_events
    {%- if went %}
    where load_id not in ({{ text_list(went) }})
    union all
    select {{ columns }} from {{ ref('stg_events') }} as copies
    where
        exists (
            select 1 from changed
            where
                not changed.is_live
                and changed.source = copies.source
                and changed.event_id = copies.event_id
        )
    {%- endif %}
)

{%- endif %}

select * from event_copies
