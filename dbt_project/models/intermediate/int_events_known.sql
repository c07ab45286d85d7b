{{ config(materialized='view') }}

{#- An event stitched to a user by a later login counts for whom it seemed to belong to until the day of that login, and
    for the user from the day after. -#}

with days as (
    select
        *,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date
    from {{ ref('int_events_identified') }}
),

events as (
    select
        *,
        case
            when identified_at = event_ts then activity_date
            else cast({{ local_timestamp('identified_at') }} as date)
        end as identified_date
    from days
),

events_known as (
    select
        user_key,
        identified_date as known_from,
        cast(null as date) as known_until,
        activity_date,
        {{ canonical_event_columns() | join(', ') }}
    from events
    union all
    select
        earlier_user_key as user_key,
        activity_date as known_from,
        identified_date as known_until,
        activity_date,
        {{ canonical_event_columns() | join(', ') }}
    from events
    where earlier_user_key is not null and identified_date > activity_date
)

select * from events_known
