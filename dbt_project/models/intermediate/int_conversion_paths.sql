{{ config(
    materialized='incremental',
    unique_key='session_id',
    meta={'region': 'sessions', 'moment': 'session_started_at'},
) }}

with touches as (
    select
        *,
        lag(channel) over (partition by session_id order by place) as previous_channel
    from {{ ref('int_conversion_touches') }} as touches
    where {{ in_region('sessions', 'touches', 'session_started_at') }}
),

conversion_paths as (
    select
        session_id,
        user_key,
        session_started_at,
        {{ joined_texts(
            "case when place = 1 or channel != previous_channel then channel end", ' > ', 'place'
        ) }} as path,
        max(place) as sessions,
        min(touched_at) as first_touch_at
    from touches
    group by session_id, user_key, session_started_at
)

select * from conversion_paths
