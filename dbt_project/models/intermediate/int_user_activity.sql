{{ config(materialized='incremental', unique_key=['user_key', 'activity_date', 'slice'], meta={'region': 'days'}) }}

{#- Two events in one slice are less than a timeout apart, so they always share a session: sessions, days,
    cohorts and RFM follow exactly from these rows without touching events again. -#}

with placed as (
    select
        identified.*,
        {{ order_number(microseconds('identified.event_ts'), 'coalesce(ties.place, 1)') }} as in_order,
        {{ clock_slice('identified.event_ts', session_timeout_seconds()) }} as slice
    from {{ events_in_reach() }} as identified
    left join {{ ref('int_event_ties') }} as ties
        on
            identified.source = ties.source
            and identified.event_id = ties.event_id
),

events as (
    select * from placed
    where {{ in_region('days', 'placed') }}
),

activity as (
    select
        user_key,
        activity_date,
        slice,
        min(event_ts) as first_event_ts,
        max(event_ts) as last_event_ts,
        min_by(event_id, in_order) as first_event_id,
        min_by(source, in_order) as first_event_source,
        count(*) as events,
        count(*) filter (where event_name in ({{ text_list(var('page_view_events')) }})) as page_views,
        count(*) filter (where event_name in ({{ text_list(var('key_events')) }})) as key_events,
        count(*) filter (where event_name = {{ quoted(var('conversion')['event']) }}) as conversions,
        cast(coalesce(sum(revenue), 0) as decimal(18, 4)) as revenue,
        {{ first_known('page', 'in_order') }} as entry_page,
        {{ last_known('page', 'in_order') }} as exit_page,
        {{ first_known('platform', 'in_order') }} as platform,
        {{ first_known('country', 'in_order') }} as country,
        {{ first_campaign('utm_source', 'in_order') }} as utm_source,
        {{ first_campaign('utm_medium', 'in_order') }} as utm_medium,
        {{ first_campaign('utm_campaign', 'in_order') }} as utm_campaign
    from events
    group by user_key, activity_date, slice
)

select * from activity
