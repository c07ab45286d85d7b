{{ config(materialized='view') }}

{#- A user's state in the month the data ends in; months, as churn is judged over about one. Where a clock goes back
    over midnight, a user whose first event lies in this month may be active in the last one after it, and is not new. -#}

with now as (
    select
        {{ period_start('month', 'last_date') }} as this_month,
        {{ add_periods('month', period_start('month', 'last_date'), -1) }} as last_month
    from {{ ref('int_data_span') }}
),

recent_days as (
    select
        user_days.user_key,
        max(user_days.activity_date) >= now.this_month as is_active,
        min(user_days.activity_date) < now.this_month as was_active
    from {{ ref('user_days') }} as user_days
    inner join now on user_days.activity_date >= now.last_month
    group by user_days.user_key, now.this_month
),

activity as (
    select
        totals.user_key,
        totals.first_date >= now.this_month as is_new,
        coalesce(recent_days.is_active, false) as is_active,
        coalesce(recent_days.was_active, false) as was_active
    from {{ ref('int_user_totals') }} as totals
    cross join now
    left join recent_days on totals.user_key = recent_days.user_key
),

user_lifecycle as (
    select
        user_key,
        case
            when is_active and was_active then 'returning'
            when is_new then 'new'
            when is_active then 'resurrecting'
            when was_active then 'dormant'
            else 'lapsed'
        end as lifecycle_state
    from activity
)

select * from user_lifecycle
