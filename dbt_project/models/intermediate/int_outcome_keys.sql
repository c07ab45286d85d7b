{#- A visitor who logs in later goes on under the user's key. Leaving such visitors out of training would keep just
    those who never came back to log in. -#}

with events as (
    select * from {{ ref('int_events_identified') }}
),

users as (
    select distinct user_key from {{ ref('int_user_activity') }}
),

merged as (
    select
        events.earlier_user_key as user_key,
        min(events.user_key) as outcome_key
    from events
    left join users on events.earlier_user_key = users.user_key
    where events.earlier_user_key is not null and users.user_key is null
    group by events.earlier_user_key
),

outcome_keys as (
    select
        user_key,
        user_key as outcome_key
    from users
    union all
    select
        user_key,
        outcome_key
    from merged
)

select * from outcome_keys
