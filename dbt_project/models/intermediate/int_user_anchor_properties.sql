{{ config(materialized='incremental', unique_key=['user_key', 'property'], meta={'region': 'users'}) }}

with sessions as (
    select
        anchors.user_key,
        anchors.source,
        sessions.started_at,
        sessions.platform,
        sessions.country,
        sessions.utm_source,
        sessions.utm_medium,
        sessions.utm_campaign,
        sessions.ended_at >= anchors.anchored_at as has_anchor
    from {{ ref('int_user_anchors') }} as anchors
    inner join {{ ref('sessions') }} as sessions
        on
            anchors.user_key = sessions.user_key
            and anchors.anchored_at >= sessions.started_at
    where {{ in_region('users', 'anchors') }}
),

described as (
    select
        user_key,
        min(source) as source,
        min(platform) filter (where has_anchor) as platform,
        min(country) filter (where has_anchor) as country,
        {{ first_campaign('utm_source', 'started_at') }} as first_utm_source,
        {{ first_campaign('utm_medium', 'started_at') }} as first_utm_medium,
        {{ first_campaign('utm_campaign', 'started_at') }} as first_utm_campaign
    from sessions
    group by user_key
),

user_anchor_properties as (
    {%- for property in var('cohorts')['properties'] %}
    select
        user_key,
        {{ quoted(property) }} as property,
        {{ property }} as value
    from described
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select
        user_key,
        cast(null as {{ dbt.type_string() }}) as property,
        source as value
    from described
    where false
    {%- endfor %}
)

select * from user_anchor_properties
