{{ config(materialized='incremental', unique_key=['user_key', 'known_from', 'known_until'], meta={'region': 'users'}) }}

{#- How a user first came is told by the first visit that was known; an older one may become known later. -#}

with begun as (
    select
        user_key,
        known_from,
        known_until,
        min(event_ts) as first_event_ts
    from {{ ref('int_events_known') }} as known
    where {{ in_region('users', 'known') }}
    group by user_key, known_from, known_until
),

in_turn as (
    select
        *,
        min(first_event_ts) over (
            partition by user_key, known_until
            order by known_from rows between unbounded preceding and 1 preceding
        ) as first_known_before
    from begun
),

landings as (
    select
        in_turn.user_key,
        in_turn.known_from,
        in_turn.known_until,
        in_turn.first_event_ts,
        events.page,
        events.platform,
        events.country,
        events.utm_source,
        events.utm_medium,
        events.utm_campaign,
        {{ referring_site() }} as referrer_site,
        {{ clicked_ad_of('events.properties') }} as ad_network,
        {{ sort_key(['events.event_ts', 'events.event_id', 'events.source']) }} as in_order
    from in_turn
    inner join {{ ref('int_events_known') }} as events
        on
            in_turn.user_key = events.user_key
            and in_turn.known_from = events.known_from
            and in_turn.known_until is not distinct from events.known_until
            and {{ add_seconds('in_turn.first_event_ts', session_timeout_seconds()) }} >= events.event_ts
    where
        (in_turn.first_known_before is null or in_turn.first_event_ts < in_turn.first_known_before)
        and {{ in_region('users', 'events') }}
),

visits as (
    select
        user_key,
        known_from,
        known_until,
        first_event_ts,
        {{ first_known('page', 'in_order') }} as entry_page,
        {{ first_known('platform', 'in_order') }} as platform,
        {{ first_known('country', 'in_order') }} as country,
        {{ first_known('referrer_site', 'in_order') }} as referrer_site,
        {{ first_known('ad_network', 'in_order') }} as ad_network,
        {{ first_campaign('utm_source', 'in_order') }} as utm_source,
        {{ first_campaign('utm_medium', 'in_order') }} as utm_medium,
        {{ first_campaign('utm_campaign', 'in_order') }} as utm_campaign,
        count(coalesce(utm_source, utm_medium, utm_campaign)) > 0 as has_campaign
    from landings
    group by user_key, known_from, known_until, first_event_ts
),

traffic as (
    select
        *,
        {{ visit_source() }} as source,
        {{ visit_medium() }} as medium,
        lower(utm_campaign) as campaign
    from visits
),

user_origins_known as (
    select
        user_key,
        known_from,
        known_until,
        first_event_ts,
        {{ channel() }} as channel
    from traffic
)

select * from user_origins_known
