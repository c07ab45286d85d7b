{#- The end of the data moves on, and back when a file is withdrawn: either may settle or unsettle a user without a
    change. -#}

{%- set unsettled %}
    status = 'in_progress'
    or status = 'dropped' and entered_at > (
        select {{ add_seconds('last_event_ts', -longest_funnel_window()) }} from intermediate.int_data_span
    )
{%- endset -%}

{{ config(
    materialized='incremental',
    unique_key=['funnel', 'user_key'],
    meta={'region': 'users', 'or_where': unsettled},
) }}

with entries as (
    select
        *,
        row_number() over (
            partition by funnel, user_key
            order by steps_completed desc, entered_at asc, last_step_at asc
        ) as entry_rank
    from {{ ref('int_funnel_entries') }} as days
    where {{ in_region('users', 'days') }} {{ or_stored_where(['funnel', 'user_key'], unsettled) }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

span as (
    select * from {{ ref('int_data_span') }}
),

funnel_users as (
    select
        entries.funnel,
        entries.user_key,
        entries.entered_at,
        entries.steps_completed,
        entries.step_times,
        case when entries.steps_completed = declared.steps then entries.last_step_at end as completed_at,
        case
            when entries.steps_completed = declared.steps then 'converted'
            when span.last_event_ts < {{ add_seconds('entries.entered_at', 'declared.window_seconds') }}
                then 'in_progress'
            else 'dropped'
        end as status
    from entries
    inner join declared on entries.funnel = declared.funnel
    cross join span
    where entries.entry_rank = 1
)

select * from funnel_users
