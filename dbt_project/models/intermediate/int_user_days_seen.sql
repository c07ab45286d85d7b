{{ config(materialized='ephemeral') }}

with days as (
    select
        as_of,
        one_user_in,
        user_key,
        {{ days_between('activity_date', 'as_of') }} as age_days,
        cast(visits as double) as visits,
        cast(events as double) as events,
        cast(key_events as double) as key_events,
        revenue,
        cast(page_views as double) as page_views,
        night_events,
        morning_events,
        evening_events,
        funnel_depth,
        is_weekend
    from ({{ known_at_cutoffs('int_user_days_known') }}) as known
),

measured as (
    select
        user_key,
        as_of,
        one_user_in,
        cast(min(age_days) as double) as recency_days,
        cast(max(age_days) as double) as tenure_days,
        cast(min(case when key_events > 0 then age_days end) as double) as days_since_key_event,
        {{ window_sums('cast(1 as double)', 'active_days') }},
        {{ window_sums('visits', 'visits') }},
        {{ window_sums('events', 'events') }},
        {{ window_sums('key_events', 'key_events') }},
        {{ window_sums('revenue', 'revenue') }},
        {%- for window, days in windows().items() %}
        max({{ within(days, 'funnel_depth') }}) as funnel_depth_{{ window }},
        {%- endfor %}
        sum({{ within(30, 'page_views') }}) as page_views_30d,
        sum(case when age_days between 8 and 14 then events else 0 end) as events_7d_before,
        sum(case when age_days between 31 and 60 then events else 0 end) as events_30d_before,
        sum(cast(night_events as double)) as night_events,
        sum(cast(morning_events as double)) as morning_events,
        sum(cast(evening_events as double)) as evening_events,
        sum(case when is_weekend then cast(1 as double) else 0 end) as weekend_days
    from days
    group by user_key, as_of, one_user_in
)

select * from measured
