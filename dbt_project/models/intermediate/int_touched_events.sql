{#- A change on a device can turn the identity of its events from the last login before it on, and of no earlier one:
    each of those has its next login before the change. A device that never saw a login has nothing to turn, nor has one
    that saw one user alone, before the change as after: there, that login itself says whose the new events are.
    Each of the stored events' scans reads no more than it needs: they are many, and their ids long. -#}

-- depends_on: {{ ref('stg_events') }}, {{ ref('stg_events_changed') }}

{%- set stored_events = stored('int_events_identified') %}

{% if not stored_events -%}
select
    cast(null as bigint) as stored_row,
    cast(null as timestamp) as event_ts
where false
{%- else -%}
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

keys as (
    select distinct
        source,
        event_id
    from arrivals
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
known as (
    select
        {{ row_address() }} as stored_row,
        event_ts
    from {{ stored_events }} as stored_events
    where (stored_events.source, stored_events.event_id) in (select keys.source, keys.event_id from keys)
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
    from {{ stored_events }} as stored_events
    where {{ row_address() }} in (select known.stored_row from known)
),

devices as (
    select
        anonymous_id,
        min(event_ts) as changed_from,
        min(user_id) as least_user_id,
        max(user_id) as greatest_user_id
    from changes
    where anonymous_id is not null
    group by anonymous_id
),

device_events as (
    select
        {{ row_address() }} as stored_row,
        stored_events.event_ts,
        stored_events.user_id,
        stored_events.anonymous_id,
        devices.changed_from,
        devices.least_user_id,
        devices.greatest_user_id
    from {{ stored_events }} as stored_events
    inner join devices on stored_events.anonymous_id = devices.anonymous_id
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
    select * from known
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
{%- endif %}
