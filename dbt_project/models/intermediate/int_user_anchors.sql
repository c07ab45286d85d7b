{{ config(
    materialized='incremental',
    unique_key='user_key',
    meta={'region': 'users'},
) }}

{#- What puts a user into a cohort: the first event of all, the first key event, or the first event of one name. -#}

{%- set anchor = var('cohorts')['anchor'] %}

{%- if anchor in ('first_seen', 'first_key_event') %}

with activity as (
    select * from {{ ref('int_user_activity') }} as slices
    where
        {{ in_region('users', 'slices') }}
    {%- if anchor == 'first_key_event' %}
        and key_events > 0
    {%- endif %}
),

{%- else %}

with activity as (
    select
        user_key,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date
    from {{ ref('int_events_identified') }} as events
    where
        {{ in_region('users', 'events') }}
        and event_name = {{ quoted(anchor) }}
),

{%- endif %}

user_anchors as (
    select
        user_key,
        min(activity_date) as anchor_date
    from activity
    group by user_key
)

select * from user_anchors
