{#- Read once, and no more columns than are asked for: the events are many and wide. -#}

{%- set are_any_reached = stored('int_user_activity') or stored('int_funnel_entries') %}
{%- set is_reached = in_region('surroundings', 'events', 'event_ts', anew=false) %}

with events_in_reach as (
    select {{ columns_in_reach() | join(', ') }}
    from {{ ref('int_events_identified') }} as events
    where {{ is_reached if are_any_reached else 'false' }}
)

select * from events_in_reach
