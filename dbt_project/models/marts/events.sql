{{ config(materialized='view') }}

with events as (
    select
        *,
        activity_date as event_date,
        {{ clock_slice('event_ts', session_timeout_seconds()) }} as slice
    from {{ ref('int_events_identified') }}
),

activity as (
    select
        user_key,
        activity_date,
        slice,
        session_id
    from {{ ref('int_activity_sessionized') }}
),

placed as (
    select
        events.event_id,
        events.user_key,
        activity.session_id,
        events.event_name,
        events.event_ts,
        events.event_date,
        events.received_ts,
        events.user_id,
        events.anonymous_id,
        events.source_session_id,
        events.page,
        events.referrer,
        events.utm_source,
        events.utm_medium,
        events.utm_campaign,
        events.platform,
        events.device,
        events.country,
        events.item_id,
        events.quantity,
        events.revenue,
        events.currency,
        events.properties,
        events.source,
        events.dump_file,
        events.dump_row,
        events.load_id
    from events
    inner join activity
        on
            events.user_key = activity.user_key
            and events.event_date = activity.activity_date
            and events.slice = activity.slice
)

select * from placed
