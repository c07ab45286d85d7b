{%- set funnels = var('funnels') | rejectattr('order', 'equalto', 'unordered') | list %}
{%- set lengths = [1] %}
{%- for funnel in funnels %}{% do lengths.append(funnel['steps'] | length) %}{% endfor %}

with moments as (
    select * from {{ ref('int_funnel_moments') }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
),

hop_1 as (
    select
        funnel,
        user_key,
        event_ts as entered_at,
        to_step as first_run,
        {{ add_seconds('event_ts', 'window_seconds') }} as expires_at,
        from_step,
        to_step,
        event_ts as reached_at,
        next_at
    from moments
    where from_step = 1
),
{% for hop in range(2, lengths | max + 1) %}
hop_{{ hop }} as (
    select
        earlier.funnel,
        earlier.user_key,
        earlier.entered_at,
        earlier.first_run,
        earlier.expires_at,
        moments.from_step,
        moments.to_step,
        moments.event_ts as reached_at,
        moments.next_at
    from hop_{{ hop - 1 }} as earlier
    inner join moments
        on
            earlier.funnel = moments.funnel
            and earlier.user_key = moments.user_key
            and earlier.next_at = moments.event_ts
            and earlier.to_step + 1 = moments.from_step
    where earlier.next_at <= earlier.expires_at
),
{% endfor %}
hops as (
    {%- for hop in range(1, lengths | max + 1) %}
    select * from hop_{{ hop }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

paths as (
    select
        hops.funnel,
        hops.user_key,
        hops.entered_at,
        hops.first_run,
        declared.step_number,
        hops.reached_at
    from hops
    inner join declared
        on
            hops.funnel = declared.funnel
            and hops.from_step <= declared.step_number
            and hops.to_step >= declared.step_number
    union all
    select
        funnel,
        user_key,
        entered_at,
        1 as first_run,
        step_number,
        reached_at
    from {{ ref('int_funnel_unordered') }}
)

select * from paths
