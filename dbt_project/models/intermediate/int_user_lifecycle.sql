{{ config(materialized='view') }}

{#- A user's state in the month the data ends in; months, as churn is judged over about one. -#}

with months as (
    select distinct
        user_key,
        {{ period_start('month', 'activity_date') }} as active_month
    from {{ ref('int_user_activity') }}
),

now as (
    select
        {{ period_start('month', 'last_date') }} as this_month,
        {{ add_periods('month', period_start('month', 'last_date'), -1) }} as last_month
    from {{ ref('int_data_span') }}
),

activity as (
    select
        months.user_key,
        min(months.active_month) = now.this_month as is_new,
        max(months.active_month) = now.this_month as is_active,
        count(*) filter (where months.active_month = now.last_month) > 0 as was_active
    from months
    cross join now
    group by months.user_key, now.this_month, now.last_month
),

user_lifecycle as (
    select
        user_key,
        case
            when is_new then 'new'
            when is_active and was_active then 'returning'
            when is_active then 'resurrecting'
            when was_active then 'dormant'
            else 'lapsed'
        end as lifecycle_state
    from activity
)

select * from user_lifecycle
