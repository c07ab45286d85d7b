{{ config(materialized='view') }}

{#- An event stitched to a user by a later login counts for whom it seemed to belong to until the day of that login, and
    for the user from the day after. Those who read this have their users with a change recomputed, so an increment
    shows the events of no others. -#}

{%- set anew = not (
    stored('int_user_days_known') and stored('int_user_breadth_known') and stored('int_user_origins_known')
) %}

with named as (
    select
        user_key,
        identified_date as known_from,
        cast(null as date) as known_until,
        activity_date,
        {{ columns_in_reach() | join(', ') }}
    from {{ events_in_reach(anew) }}
),

mistaken as (
    select
        earlier_user_key as user_key,
        activity_date as known_from,
        identified_date as known_until,
        activity_date,
        {{ columns_in_reach() | join(', ') }}
    from {{ events_in_reach(anew) }}
    where earlier_user_key is not null and identified_date > activity_date
),

events as (
    select * from named
    union all
    select * from mistaken
),

events_known as (
    select * from events
    where {{ in_region('users', 'events', anew=anew) }}
)

select * from events_known
