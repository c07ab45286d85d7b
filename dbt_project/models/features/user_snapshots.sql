{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={'region': 'users', 'or_where': 'as_of not in (select as_of from intermediate.int_cutoffs)'},
) }}

{#- One definition for training and scoring. A snapshot sees an event only under the user it was known to belong to
    at that midnight: a login tomorrow must not tell today's features who the visitor was. -#}

{%- set windows = {'7d': 7, '30d': 30, '90d': 90, 'lifetime': none} %}
{%- set measures = ['events', 'key_events', 'revenue'] %}

with cutoffs as (
    select * from {{ ref('int_cutoffs') }}
),

days as (
    select * from {{ ref('int_user_days_known') }}
),

known as (
    select
        cutoffs.as_of,
        days.*,
        {{ days_between('days.activity_date', 'cutoffs.as_of') }} as age_days
    from cutoffs
    inner join days
        on
            cutoffs.as_of > days.known_from
            and (days.known_until is null or cutoffs.as_of <= days.known_until)
    where {{ in_region('users', 'days') }} {{ or_not_stored('cutoffs.as_of') }}
),

measured as (
    select
        user_key,
        as_of,
        cast(min(age_days) as double) as recency_days,
        cast(max(age_days) as double) as tenure_days,
        cast(min(age_days) filter (where key_events > 0) as double) as days_since_key_event,
        {%- for window, length in windows.items() %}
        {%- set inside = 'filter (where age_days <= ' ~ length ~ ')' if length else '' %}
        cast(count(distinct activity_date) {{ inside }} as double) as active_days_{{ window }},
        {%- for measure in measures %}
        cast(coalesce(sum({{ measure }}) {{ inside }}, 0) as double) as {{ measure }}_{{ window }},
        {%- endfor %}
        {%- endfor %}
        cast(coalesce(sum(page_views) filter (where age_days <= 30), 0) as double) as page_views_30d,
        cast(coalesce(sum(events) filter (where age_days between 31 and 60), 0) as double) as events_30d_before,
        cast(count(distinct activity_date) filter (where is_weekend) as double) as weekend_days
    from known
    group by user_key, as_of
),

user_snapshots as (
    select
        *,
        case
            when active_days_lifetime > 1 then (tenure_days - recency_days) / (active_days_lifetime - 1)
        end as mean_gap_days,
        (events_30d + 1) / (events_30d_before + 1) as trend_30d,
        weekend_days / active_days_lifetime as weekend_share
    from measured
)

select * from user_snapshots
