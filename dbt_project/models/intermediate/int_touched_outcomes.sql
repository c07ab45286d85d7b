{#- What became of a visitor who logged in later is told by the user: it changes with the user's events, and with none
    of the visitor's own. -#}

with touched_users as (
    select user_key from {{ ref('int_touched_users') }}
),

outcome_keys as (
    select * from {{ ref('int_outcome_keys') }}
),

touched_outcomes as (
    select user_key from touched_users
    union
    select user_key from outcome_keys
    where outcome_key in (select touched_users.user_key from touched_users)
)

select * from touched_outcomes
