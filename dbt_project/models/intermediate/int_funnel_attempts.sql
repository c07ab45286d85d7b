{{ config(materialized='ephemeral') }}

{#- Every way in, followed hop by hop as early as possible. -#}

{%- set funnels = var('funnels') | rejectattr('order', 'equalto', 'unordered') | list %}
{%- set lengths = [1] %}
{%- for funnel in funnels %}{% do lengths.append(funnel['steps'] | length) %}{% endfor %}

with moments as (
    select * from {{ ref('int_funnel_moments') }}
),

unordered as (
    select * from {{ ref('int_funnel_unordered') }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

hop_1 as (
    select
        moments.funnel,
        moments.user_key,
        moments.event_ts as entered_at,
        moments.to_step as first_run,
        {{ add_seconds('moments.event_ts', 'declared.window_seconds') }} as expires_at,
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at,
        {{ extended_list(empty_list('timestamp'), 'moments.to_step', 'moments.event_ts') }} as step_times
    from moments
    inner join declared on moments.funnel = declared.funnel
    where moments.from_step = 1
),
{% for hop in range(2, lengths | max + 1) %}
hop_{{ hop }} as (
    select
        earlier.funnel,
        earlier.user_key,
        earlier.entered_at,
        earlier.first_run,
        earlier.expires_at,
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at,
        {{ extended_list('earlier.step_times', 'moments.to_step', 'moments.event_ts') }} as step_times
    from hop_{{ hop - 1 }} as earlier
    inner join moments
        on
            earlier.funnel = moments.funnel
            and earlier.user_key = moments.user_key
            and earlier.next_at = moments.event_ts
            and earlier.steps_completed + 1 = moments.from_step
    where earlier.next_at <= earlier.expires_at
),
{% endfor %}
attempts as (
    {%- for hop in range(1, lengths | max + 1) %}
    select
        funnel,
        user_key,
        entered_at,
        first_run,
        steps_completed,
        last_step_at,
        step_times
    from hop_{{ hop }}
    union all
    {%- endfor %}
    select
        funnel,
        user_key,
        entered_at,
        1 as first_run,
        steps_completed,
        last_step_at,
        step_times
    from unordered
)

select * from attempts
