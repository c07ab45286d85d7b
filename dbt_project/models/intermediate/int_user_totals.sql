{{ config(materialized='incremental', unique_key='user_key', meta={'region': 'users'}) }}

with sessions as (
    select * from {{ ref('sessions') }} as sessions
    where {{ in_region('users', 'sessions') }}
),

user_totals as (
    select
        user_key,
        min(started_at) as first_seen_at,
        max(ended_at) as last_seen_at,
        min(session_date) as first_date,
        count(*) as sessions,
        cast(sum(events) as bigint) as events,
        cast(sum(key_events) as bigint) as key_events,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from sessions
    group by user_key
)

select * from user_totals
