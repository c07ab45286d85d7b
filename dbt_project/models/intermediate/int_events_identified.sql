{{ config(
    materialized='incremental',
    unique_key=['source', 'event_id'],
    meta={'region': 'events', 'stored_in': 'int_events_stored'},
) }}

{#- On a device, an event without a user belongs to the next identified event's user, else to the previous
    one's, else to the device itself. Only devices that saw both kinds of event need the window. -#}

with mixed_devices as (
    select anonymous_id
    from {{ ref('int_events_deduplicated') }}
    where anonymous_id is not null
    group by anonymous_id
    having count(user_id) > 0 and count(user_id) < count(*)
),

device_events as (
    select
        events.source,
        events.event_id,
        events.event_ts,
        events.user_id,
        events.anonymous_id,
        case when events.user_id is not null then events.event_ts end as identified_ts
    from {{ ref('int_events_deduplicated') }} as events
    inner join mixed_devices on events.anonymous_id = mixed_devices.anonymous_id
),

neighbours as (
    select
        source,
        event_id,
        event_ts,
        user_id,
        anonymous_id,
        {{ nearest_known('user_id', 'anonymous_id', 'event_ts, event_id, source', 'following') }} as next_user_id,
        {{ nearest_known('identified_ts', 'anonymous_id', 'event_ts, event_id, source', 'following') }}
            as next_identified_at,
        {{ nearest_known('user_id', 'anonymous_id', 'event_ts, event_id, source', 'preceding') }} as previous_user_id
    from device_events
),

stitched as (
    select
        source,
        event_id,
        coalesce(next_user_id, previous_user_id) as user_key,
        coalesce(previous_user_id, anonymous_id) as earlier_user_key,
        next_identified_at
    from neighbours
    where user_id is null
),

identified as (
    select
        coalesce(events.user_id, stitched.user_key, events.anonymous_id) as user_key,
        case
            when stitched.user_key != stitched.earlier_user_key then stitched.next_identified_at
            else events.event_ts
        end as identified_at,
        case when stitched.user_key != stitched.earlier_user_key then stitched.earlier_user_key end
            as earlier_user_key,
        events.*
    from {{ ref('int_events_deduplicated') }} as events
    left join stitched
        on
            events.source = stitched.source
            and events.event_id = stitched.event_id
)

select * from identified
