{{ config(materialized='ephemeral') }}

{#- Every way in, followed hop by hop as early as possible. Each hop is a step further at least, so that fewer and fewer
    moments need to be looked through. -#}

{%- set exclusions = range(1, most_exclusions() + 1) %}

with moments as (
    select * from {{ ref('int_funnel_moments') }}
),

later_moments as (
    select * from moments
    where from_step > 1
),

unordered as (
    select * from {{ ref('int_funnel_unordered') }}
),

declared as (
    select
        {{ as_funnel('funnel') }} as funnel,
        window_seconds
    from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

hop_1 as (
    select
        moments.funnel,
        moments.user_key,
        moments.event_ts as entered_at,
        moments.activity_date as entry_date,
        moments.to_step as first_run,
        {{ add_seconds('moments.event_ts', 'declared.window_seconds') }} as expires_at,
        {%- for number in exclusions %}
        {{ excluded_at(number) }} as excluded_{{ number }}_at,
        {%- endfor %}
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at,
        {{ extended_list(empty_list('timestamp'), 'moments.to_step', 'moments.event_ts') }} as step_times
    from moments
    inner join declared on moments.funnel = declared.funnel
    where moments.from_step = 1
),
{% for hop in range(2, longest_path() + 1) %}
hop_{{ hop }} as (
    select
        earlier.funnel,
        earlier.user_key,
        earlier.entered_at,
        earlier.entry_date,
        earlier.first_run,
        earlier.expires_at,
        {%- for number in exclusions %}
        {{ excluded_at(number, 'earlier.excluded_' ~ number ~ '_at') }} as excluded_{{ number }}_at,
        {%- endfor %}
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at,
        {{ extended_list('earlier.step_times', 'moments.to_step', 'moments.event_ts') }} as step_times
    from hop_{{ hop - 1 }} as earlier
    inner join later_moments as moments
        on
            earlier.funnel = moments.funnel
            and earlier.user_key = moments.user_key
            and earlier.next_at = moments.event_ts
            and earlier.steps_completed + 1 = moments.from_step
            and moments.from_step >= {{ hop }}
    where earlier.next_at <= {{ may_go_on_until('earlier') }}
),
{% endfor %}
hops as (
    {%- for hop in range(1, longest_path() + 1) %}
    select
        *,
        {{ may_go_on_until('hops') }} as ends_at
    from hop_{{ hop }} as hops
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

attempts as (
    select
        hops.funnel,
        hops.user_key,
        hops.entered_at,
        hops.entry_date,
        hops.first_run,
        hops.steps_completed,
        {{ precedence('hops') }} as precedence,
        hops.last_step_at,
        hops.ends_at,
        hops.step_times
    from hops
    union all
    select
        funnel,
        user_key,
        entered_at,
        entry_date,
        1 as first_run,
        steps_completed,
        steps_completed as precedence,
        last_step_at,
        ends_at,
        step_times
    from unordered
)

select * from attempts
