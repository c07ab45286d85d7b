{{ config(materialized='view') }}

{#- An event stitched to a user by a later login counts for whom it seemed to belong to until the day of that login, and
    for the user from the day after. An increment shows users with a change alone: its readers recompute no others. -#}

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

events_known as (
    select * from named
    where {{ in_region('users', 'named', anew=anew) }}
    union all
    select * from mistaken
    where {{ in_region('users', 'mistaken', anew=anew) }}
)

select * from events_known
