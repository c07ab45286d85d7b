-- Purchases are the days with key events, and none is before the first, after the last or after the data.
{{ config(meta={'dagster': {'ref': {'name': 'purchase_summaries'}}}) }}
with by_day as (
    select
        user_key,
        count(*) as purchase_days,
        sum(key_events) as key_events
    from {{ ref('user_days') }}
    where key_events > 0
    group by user_key
)

select
    coalesce(summaries.user_key, by_day.user_key) as user_key,
    summaries.purchase_days,
    by_day.purchase_days as counted_days
from {{ ref('purchase_summaries') }} as summaries
full outer join by_day on summaries.user_key = by_day.user_key
where
    summaries.purchase_days is distinct from by_day.purchase_days
    or summaries.key_events is distinct from by_day.key_events
    or summaries.purchase_span_days not between summaries.frequency and summaries.age_days
