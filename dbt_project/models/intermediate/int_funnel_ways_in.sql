{{ config(materialized='ephemeral') }}

{#- Every instant that fills the first step, and with it perhaps more, is a way in. -#}

with moments as (
    select * from {{ ref('int_funnel_moments') }}
    where from_step = 1
),

declared as (
    select
        {{ as_funnel('funnel') }} as funnel,
        window_seconds
    from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

ways_in as (
    select
        moments.funnel,
        moments.user_key,
        moments.event_ts as entered_at,
        moments.activity_date as entry_date,
        moments.to_step as first_run,
        {{ add_seconds('moments.event_ts', 'declared.window_seconds') }} as expires_at,
        {%- for number in range(1, most_exclusions() + 1) %}
        {{ excluded_at(number) }} as excluded_{{ number }}_at,
        {%- endfor %}
        {%- for step in range(2, longest_path() + 1) %}
        case when moments.to_step >= {{ step }} then moments.event_ts end as step_{{ step }}_at,
        {%- endfor %}
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at
    from moments
    inner join declared on moments.funnel = declared.funnel
)

select * from ways_in
