{#- A change on a device can turn the identity of its events from the last login before it on, and of no earlier one:
    each of those has its next login before the change. A device that never saw a login has nothing to turn, nor has one
    that saw one user alone, before the change as after: there, that login itself says whose the new events are. -#}

with devices as (
    select * from {{ ref('int_touched_devices') }}
),

device_events as (
    select
        events.stored_row,
        events.event_ts,
        events.user_id,
        events.anonymous_id,
        devices.changed_from,
        devices.least_user_id,
        devices.greatest_user_id
    from {{ stored_events() }} as events
    inner join devices on events.anonymous_id = devices.anonymous_id
),

device_logins as (
    select
        anonymous_id,
        least(min(user_id), min(least_user_id)) as least_user_id,
        greatest(max(user_id), max(greatest_user_id)) as greatest_user_id,
        max(event_ts) filter (where user_id is not null and event_ts < changed_from) as last_login_before
    from device_events
    group by anonymous_id
),

touched_events as (
    select * from {{ ref('int_touched_copies') }}
    union
    select
        device_events.stored_row,
        device_events.event_ts
    from device_events
    inner join device_logins on device_events.anonymous_id = device_logins.anonymous_id
    where
        device_logins.least_user_id is not null
        and (
            device_logins.last_login_before is null
            or device_events.event_ts = device_logins.last_login_before
            or (
                device_events.event_ts > device_logins.last_login_before
                and device_logins.least_user_id != device_logins.greatest_user_id
            )
        )
)

select * from touched_events
