{#- The end of the data moves on, and back when a file is withdrawn: either may settle or unsettle a user without a
    change. -#}

{%- set by_user = funnels_with('breakdown') | selectattr('breakdown.user_column') | list -%}
{%- set unsettled %}
    status = 'in_progress'
    or status = 'dropped' and entered_at > (
        select {{ add_seconds('last_event_ts', -longest_funnel_window()) }} from intermediate.int_data_span
    )
    {{ or_broken_down_by_user() }}
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
            order by precedence desc, entered_at asc, last_step_at asc
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

{% if by_user -%}
users as (
    select * from {{ ref('users') }}
),

{% endif -%}
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
            when span.last_event_ts < {{ path_ends_at('entries', 'declared') }}
                then 'in_progress'
            else 'dropped'
        end as status,
        {%- if by_user %}
        case entries.funnel
            {%- for funnel in by_user %}
            when {{ quoted(funnel['name']) }} then {{ user_label(funnel) }}
            {%- endfor %}
            else entries.breakdown
        end as breakdown
        {%- else %}
        entries.breakdown
        {%- endif %}
    from entries
    inner join declared on entries.funnel = declared.funnel
    {%- if by_user %}
    left join users on entries.user_key = users.user_key
    {%- endif %}
    cross join span
    where
        entries.entry_rank = 1
        and not {{ is_left_out('entries') }}
)

select * from funnel_users
