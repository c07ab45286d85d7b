{{ config(
    materialized='incremental',
    unique_key=['session_id', 'place'],
    meta={'region': 'sessions', 'moment': 'session_started_at'},
) }}

{#- Credits are whole millionths, cut where their running sums are rounded down: so they add up to one exactly. -#}

{%- set lookback_seconds = var('attribution')['lookback_days'] * 86400 %}

with conversions as (
    select distinct
        session_id,
        user_key,
        session_started_at
    from {{ ref('int_key_events') }} as key_events
    where {{ in_region('sessions', 'key_events', 'session_started_at') }}
),

sessions as (
    select * from {{ ref('session_channels') }} as sessions
    where {{ in_region('users', 'sessions') }}
),

touches as (
    select
        conversions.session_id,
        conversions.user_key,
        conversions.session_started_at,
        sessions.started_at as touched_at,
        sessions.channel,
        row_number() over (partition by conversions.session_id order by sessions.started_at) as place,
        count(*) over (partition by conversions.session_id) as touches
    from conversions
    inner join sessions
        on
            conversions.user_key = sessions.user_key
            and sessions.started_at between
            {{ add_seconds('conversions.session_started_at', -lookback_seconds) }} and conversions.session_started_at
),

placed as (
    select
        *,
        max(case when channel != 'Direct' then place end) over (partition by session_id) as last_non_direct_place
    from touches
),

conversion_touches as (
    select
        session_id,
        user_key,
        session_started_at,
        touched_at,
        channel,
        place,
        touches,
        case when place = 1 then 1000000 else 0 end as first_credit,
        case when place = coalesce(last_non_direct_place, touches) then 1000000 else 0 end as last_non_direct_credit,
        {{ share_of(1000000, 'place', 'touches') }} as linear_credit,
        case
            when touches = 1 then 1000000
            when touches = 2 then 500000
            when place in (1, touches) then 400000
            else {{ share_of(200000, 'place - 1', '(touches - 2)') }}
        end as position_based_credit
    from placed
)

select * from conversion_touches
