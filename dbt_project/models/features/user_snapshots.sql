{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'users',
        'or_where': '(as_of, one_user_in) not in (select as_of, one_user_in from intermediate.int_cutoffs)',
    },
) }}

{#- One definition for training and scoring. A snapshot sees an event only under the user it was known to belong to
    at that midnight: a login tomorrow must not tell today's features who the visitor was. Where all is built anew, rows
    are in the order of their dates: those of now go the next night, and so take no others' blocks along. -#}

with measured as (
    select * from {{ ref('int_user_days_seen') }}
),

breadth as (
    select * from {{ ref('int_user_breadth_seen') }}
),

origins as (
    select * from {{ ref('int_user_origins_seen') }}
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
