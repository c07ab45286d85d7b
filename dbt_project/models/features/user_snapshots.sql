{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'users',
        'or_where': '(as_of, one_user_in) not in (select as_of, one_user_in from intermediate.int_cutoffs)',
    },
) }}

{%- set told_first = sort_key(['first_event_ts', "case when channel = 'Direct' then 1 else 0 end", 'channel']) %}

{#- One definition for training and scoring. A snapshot sees an event only under the user it was known to belong to
    at that midnight: a login tomorrow must not tell today's features who the visitor was. Of events at one moment some
    may turn out to be another's; until then the visit is in two rows, and one with a channel goes before Direct. Where
    all is built anew, rows are in the order of their dates: those of now go the next night, and so take no others'
    blocks along. -#}

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
    having min(age_days) <= {{ longest_eligibility() }}
),

breadth as (
    select
        user_key,
        as_of,
        {%- for things in ['items', 'pages', 'platforms'] %}
        cast(sum({{ things }}) as double) as {{ things }}_lifetime,
        {%- endfor %}
        cast(coalesce(sum(items) filter (where {{ days_between('known_from', 'as_of') }} <= 30), 0) as double)
            as new_items_30d
    from ({{ known_at_cutoffs('int_user_breadth_known') }}) as known
    group by user_key, as_of
),

origins as (
    select
        user_key,
        as_of,
        min_by(channel, {{ told_first }}) as first_channel
    from ({{ known_at_cutoffs('int_user_origins_known') }}) as known
    group by user_key, as_of
),

combined as (
    select
        measured.*,
        origins.first_channel,
        {%- for feature in ['items_lifetime', 'pages_lifetime', 'platforms_lifetime', 'new_items_30d'] %}
        coalesce(breadth.{{ feature }}, 0) as {{ feature }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from measured
    inner join origins
        on
            measured.user_key = origins.user_key
            and measured.as_of = origins.as_of
    left join breadth
        on
            measured.user_key = breadth.user_key
            and measured.as_of = breadth.as_of
),

user_snapshots as (
    select
        *,
        {%- for origin, channels in origins().items() %}
        case when first_channel in ({{ text_list(channels) }}) then cast(1 as double) else 0 end
            as came_by_{{ origin }},
        {%- endfor %}
        case when active_days_lifetime > 1 then (tenure_days - recency_days) / (active_days_lifetime - 1) end
            as mean_gap_days,
        case
            when active_days_lifetime > 1
                then recency_days * (active_days_lifetime - 1) / (tenure_days - recency_days)
        end as silence_ratio,
        case when key_events_lifetime > 0 then revenue_lifetime / key_events_lifetime end as revenue_per_key_event,
        events_lifetime / visits_lifetime as events_per_visit,
        (events_7d + 1) / (events_7d_before + 1) as trend_7d,
        (events_30d + 1) / (events_30d_before + 1) as trend_30d,
        weekend_days / active_days_lifetime as weekend_share,
        {%- for habit in ['night', 'morning', 'evening'] %}
        {{ habit }}_events / events_lifetime as {{ habit }}_share{% if not loop.last %},{% endif %}
        {%- endfor %}
    from combined
)

select * from user_snapshots
{%- if not is_increment() %}
order by as_of
{%- endif %}
