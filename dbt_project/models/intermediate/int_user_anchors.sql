{{ config(materialized='incremental', unique_key='user_key', meta={'region': 'users'}) }}

{#- What puts a user into a cohort: the first event of all, the first key event, or the first event of one name. No two
    slices of a user begin at one instant, but events may be simultaneous. -#}

{%- set anchor = var('cohorts')['anchor'] %}
{%- set in_order = 'event_ts' if anchor == 'first_seen' else sort_key(['event_ts', 'event_id', 'source']) %}

with anchoring as (
    {%- if anchor == 'first_seen' %}
    select
        user_key,
        first_event_ts as event_ts,
        first_event_source as source,
        activity_date
    from {{ ref('int_user_activity') }} as slices
    where {{ in_region('users', 'slices') }}
    {%- elif anchor == 'first_key_event' %}
    select * from {{ ref('int_key_events') }} as events
    where {{ in_region('users', 'events') }}
    {%- else %}
    select * from {{ events_in_reach() }} as events
    where
        {{ in_region('users', 'events') }}
        and event_name = {{ quoted(anchor) }}
    {%- endif %}
),

user_anchors as (
    select
        user_key,
        min(event_ts) as anchored_at,
        min_by(activity_date, {{ in_order }}) as anchor_date,
        min_by(source, {{ in_order }}) as source
    from anchoring
    group by user_key
)

select * from user_anchors
