{{ config(materialized='incremental', unique_key=['model', 'key_event', 'channel', 'activity_date']) }}

with credits as (
    select * from {{ ref('int_conversion_credits') }}
),

attribution as (
    select
        model,
        key_event,
        channel,
        activity_date,
        cast(sum(key_events) as decimal(18, 6)) as key_events,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from credits
    group by model, key_event, channel, activity_date
)

select * from attribution
