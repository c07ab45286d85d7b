{{ config(
    materialized='incremental',
    unique_key=['user_key', 'activity_date', 'known_from', 'known_until'],
    meta={'region': 'days'},
) }}

{#- Days as they were known: an event stitched to a user by a later login counts for whom it seemed to belong to
    until the day of that login, and for the user from the day after. -#}

with events as (
    select
        *,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date,
        cast({{ local_timestamp('identified_at') }} as date) as identified_date
    from {{ ref('int_events_identified') }}
),

assignments as (
    select
        user_key,
        activity_date,
        identified_date as known_from,
        cast(null as date) as known_until,
        event_name,
        revenue
    from events
    union all
    select
        earlier_user_key as user_key,
        activity_date,
        activity_date as known_from,
        identified_date as known_until,
        event_name,
        revenue
    from events
    where earlier_user_key is not null and identified_date > activity_date
),

user_days_known as (
    select
        user_key,
        activity_date,
        known_from,
        known_until,
        {{ isodow('activity_date') }} >= 6 as is_weekend,
        count(*) as events,
        count(*) filter (where event_name in ({{ text_list(var('page_view_events')) }})) as page_views,
        count(*) filter (where event_name in ({{ text_list(var('key_events')) }})) as key_events,
        sum(revenue) as revenue
    from assignments
    where {{ in_region('days', 'assignments') }}
    group by user_key, activity_date, known_from, known_until
)

select * from user_days_known
