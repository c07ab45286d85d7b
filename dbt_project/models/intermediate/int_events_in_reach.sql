{#- Read once from the many that there are; whatever else an increment asks of its users' events, it asks of these. -#}

with events as (
    select * from {{ ref('int_events_identified') }}
),

touched_users as (
    select user_key from {{ ref('int_touched_users') }}
),

events_in_reach as (
    select
        user_key,
        earlier_user_key,
        activity_date,
        identified_date,
        {{ columns_in_reach() | join(', ') }}
    from events
    where
        {{ is_anyone_touched() }}
        and (
            user_key in (select touched_users.user_key from touched_users)
            or earlier_user_key in (select touched_users.user_key from touched_users)
        )
)

select * from events_in_reach
