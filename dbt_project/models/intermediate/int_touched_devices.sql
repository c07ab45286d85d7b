{{ config(materialized='ephemeral') }}

with arrivals as (
    select
        source,
        event_id,
        event_ts,
        user_id,
        anonymous_id,
        is_live
    from {{ ref('stg_events_changed') }}
),

{% if loads_that_went() -%}
{#- Where a copy went, another may come to stand for the event, on another device. -#}
other_copies as (
    select
        event_ts,
        user_id,
        anonymous_id
    from {{ ref('stg_events') }} as copies
    where
        exists (
            select 1 from arrivals
            where
                not arrivals.is_live
                and arrivals.source = copies.source
                and arrivals.event_id = copies.event_id
        )
),

{% endif -%}
touched_copies as (
    select stored_row from {{ ref('int_touched_copies') }}
),

changes as (
    select
        event_ts,
        user_id,
        anonymous_id
    from arrivals
    union all
    {%- if loads_that_went() %}
    select * from other_copies
    union all
    {%- endif %}
    select
        event_ts,
        user_id,
        anonymous_id
    from {{ stored_events() }} as events
    where stored_row in (select touched_copies.stored_row from touched_copies)
),

touched_devices as (
    select
        anonymous_id,
        min(event_ts) as changed_from,
        min(user_id) as least_user_id,
        max(user_id) as greatest_user_id
    from changes
    where anonymous_id is not null
    group by anonymous_id
)

select * from touched_devices
