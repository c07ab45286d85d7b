{{ config(materialized='view') }}

{#- As one and the same day becomes known bit by bit, it has a span for each state it was known in: so whoever looks
    from a cutoff sees each day once. -#}

with slices as (
    select
        user_key,
        activity_date,
        known_from,
        known_until,
        {{ clock_slice('event_ts', day_slice_seconds()) }} as slice,
        min(event_ts) as first_event_ts,
        max(event_ts) as last_event_ts,
        count(*) as events,
        count(*) filter (where event_name in ({{ text_list(var('page_view_events')) }})) as page_views,
        count(*) filter (where event_name in ({{ text_list(var('key_events')) }})) as key_events,
        sum(revenue) as revenue,
        max({{ funnel_reach() }}) as funnel_depth
    from {{ ref('int_events_known') }} as known
    where {{ in_region('days', 'known', anew=not stored('int_user_days_known')) }}
    group by user_key, activity_date, known_from, known_until, slice
),

turns as (
    select
        user_key,
        activity_date,
        known_from as turn
    from slices
    union
    select
        user_key,
        activity_date,
        known_until as turn
    from slices
    where known_until is not null
),

states as (
    select
        user_key,
        activity_date,
        turn as known_from,
        lead(turn) over (partition by user_key, activity_date order by turn) as known_until
    from turns
),

slices_known as (
    select
        states.user_key,
        states.activity_date,
        states.known_from,
        states.known_until,
        slices.slice,
        min(slices.first_event_ts) as first_event_ts,
        max(slices.last_event_ts) as last_event_ts,
        sum(slices.events) as events,
        sum(slices.page_views) as page_views,
        sum(slices.key_events) as key_events,
        sum(slices.revenue) as revenue,
        max(slices.funnel_depth) as funnel_depth
    from states
    inner join slices
        on
            states.user_key = slices.user_key
            and states.activity_date = slices.activity_date
            and states.known_from >= slices.known_from
            and (slices.known_until is null or states.known_until <= slices.known_until)
    group by states.user_key, states.activity_date, states.known_from, states.known_until, slices.slice
)

select * from slices_known
