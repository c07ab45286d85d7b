{{ config(materialized='incremental', unique_key='session_id', meta={'region': 'sessions', 'moment': 'started_at'}) }}

with sessions as (
    select * from {{ ref('sessions') }} as sessions
    where {{ in_region('sessions', 'sessions', 'started_at') }}
),

landing_events as (
    select
        sessions.session_id,
        {{ site_of('events.referrer') }} as referrer_site,
        {{ clicked_ad_of('events.properties') }} as ad_network,
        {{ sort_key(['events.event_id', 'events.source']) }} as in_order
    from {{ events_in_reach() }} as events
    inner join sessions
        on
            events.user_key = sessions.user_key
            and events.event_ts = sessions.started_at
    where {{ in_region('sessions', 'events', 'event_ts') }}
),

landing_sites as (
    select
        *,
        case when not {{ is_own_site('referrer_site') }} then referrer_site end as other_site
    from landing_events
),

landings as (
    select
        session_id,
        {{ first_known('other_site', 'in_order') }} as referrer_site,
        {{ first_known('ad_network', 'in_order') }} as ad_network
    from landing_sites
    group by session_id
),

traffic as (
    select
        sessions.session_id,
        sessions.user_key,
        sessions.started_at,
        sessions.entry_page,
        sessions.platform,
        sessions.country,
        landings.referrer_site,
        coalesce(sessions.utm_source, sessions.utm_medium, sessions.utm_campaign) is not null as has_campaign,
        sessions.utm_source,
        sessions.utm_medium,
        lower(sessions.utm_campaign) as campaign,
        landings.ad_network
    from sessions
    left join landings on sessions.session_id = landings.session_id
),

attributed as (
    select
        *,
        {{ visit_source() }} as source,
        {{ visit_medium() }} as medium
    from traffic
),

session_channels as (
    select
        session_id,
        user_key,
        started_at,
        source,
        medium,
        campaign,
        referrer_site,
        {{ channel() }} as channel
    from attributed
)

select * from session_channels
