{{ config(
    materialized='incremental',
    unique_key=['user_key', 'activity_date'],
    meta={'region': 'sessions', 'moment': 'activity_date'},
) }}

with activity as (
    select * from {{ ref('int_activity_sessionized') }} as slices
    where {{ in_region('sessions', 'slices', 'activity_date') }}
),

user_days as (
    select
        user_key,
        activity_date,
        count(distinct session_id) as sessions,
        cast(sum(events) as bigint) as events,
        cast(sum(page_views) as bigint) as page_views,
        cast(sum(key_events) as bigint) as key_events,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from activity
    group by user_key, activity_date
)

select * from user_days
