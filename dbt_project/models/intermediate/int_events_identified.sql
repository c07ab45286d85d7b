{{ config(materialized='incremental', unique_key=['source', 'event_id'], meta={'stored_in': 'int_events_stored'}) }}

{#- On a device, an event without a user belongs to the next identified event's user, else to the previous
    one's, else to the device itself. Where a device has one user, that is the user; only shared ones need the window. -#}

with devices as (
    select
        anonymous_id,
        min(user_id) as user_id,
        min(user_id) != max(user_id) as is_shared,
        min(case when user_id is not null then event_ts end) as first_login_at
    from {{ ref('int_events_deduplicated') }}
    where anonymous_id is not null
    group by anonymous_id
    having count(user_id) > 0 and count(user_id) < count(*)
),

shared_device_events as (
    select
        events.source,
        events.event_id,
        events.event_ts,
        events.user_id,
        events.anonymous_id,
        case when events.user_id is not null then events.event_ts end as login_at
    from {{ ref('int_events_deduplicated') }} as events
    inner join devices on events.anonymous_id = devices.anonymous_id
    where devices.is_shared
),

neighbours as (
    select
        source,
        event_id,
        {{ nearest_known('user_id', 'anonymous_id', 'event_ts, event_id, source', 'following') }} as next_user_id,
        {{ nearest_known('login_at', 'anonymous_id', 'event_ts, event_id, source', 'following') }} as next_login_at,
        {{ nearest_known('user_id', 'anonymous_id', 'event_ts, event_id, source', 'preceding') }} as previous_user_id
    from shared_device_events
),

stitched as (
    select
        coalesce(
            events.user_id, neighbours.next_user_id, neighbours.previous_user_id, devices.user_id, events.anonymous_id
        ) as user_key,
        coalesce(neighbours.next_login_at, devices.first_login_at) as named_at,
        coalesce(neighbours.previous_user_id, events.anonymous_id) as earlier_user_key,
        events.*
    from {{ ref('int_events_deduplicated') }} as events
    left join devices on events.anonymous_id = devices.anonymous_id
    left join neighbours
        on
            events.source = neighbours.source
            and events.event_id = neighbours.event_id
),

renamed as (
    select
        *,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date,
        user_id is null and named_at > event_ts and earlier_user_key != user_key as is_renamed
    from stitched
),

identified as (
    select
        user_key,
        activity_date,
        case when is_renamed then named_at else event_ts end as identified_at,
        case when is_renamed then cast({{ local_timestamp('named_at') }} as date) else activity_date end
            as identified_date,
        case when is_renamed then earlier_user_key end as earlier_user_key,
        {{ canonical_event_columns() | join(', ') }}
    from renamed
)

select * from identified
