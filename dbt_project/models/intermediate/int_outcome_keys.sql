{{ config(materialized='incremental', unique_key='user_key', meta={'region': 'users'}) }}

{#- A visitor who logs in later goes on under the user's key. Leaving such visitors out of training would keep just
    those who never came back to log in. -#}

with users as (
    select user_key from {{ ref('int_user_totals') }} as totals
    where {{ in_region('users', 'totals') }}
),

renamed as (
    select
        earlier_user_key as user_key,
        user_key as outcome_key
    from {{ events_in_reach() }}
    where earlier_user_key is not null
),

merged as (
    select
        renamed.user_key,
        min(renamed.outcome_key) as outcome_key
    from renamed
    left join users on renamed.user_key = users.user_key
    where users.user_key is null and {{ in_region('users', 'renamed') }}
    group by renamed.user_key
),

outcome_keys as (
    select
        user_key,
        user_key as outcome_key
    from users
    union all
    select * from merged
)

select * from outcome_keys
