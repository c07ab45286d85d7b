{{ config(materialized='ephemeral') }}

{#- Every way in, followed hop by hop as early as possible. Each hop is a step further at least, so that fewer and fewer
    moments need to be looked through; a path that cannot go on stays as it is. -#}

{%- set exclusions = range(1, most_exclusions() + 1) %}
{%- set most_hops = longest_path() %}
{%- set later_steps = range(2, most_hops + 1) %}
{%- set step_instants = ['hops.entered_at'] %}
{%- for step in later_steps %}{% do step_instants.append('hops.step_' ~ step ~ '_at') %}{% endfor %}
{%- set by_hop = funnels_with('posthog') | map(attribute='name') | list %}

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
        {%- for step in later_steps %}
        case when moments.to_step >= {{ step }} then moments.event_ts end as step_{{ step }}_at,
        {%- endfor %}
        moments.next_at,
        moments.to_step as steps_completed,
        moments.event_ts as last_step_at
    from moments
    inner join declared on moments.funnel = declared.funnel
    where moments.from_step = 1
),
{% for hop in later_steps %}
hop_{{ hop }} as (
    select
        earlier.funnel,
        earlier.user_key,
        earlier.entered_at,
        earlier.entry_date,
        earlier.first_run,
        earlier.expires_at,
        {%- for number in exclusions %}
        {{ excluded_at(number, 'earlier') }} as excluded_{{ number }}_at,
        {%- endfor %}
        {%- for step in later_steps %}
        {%- if step < hop %}
        earlier.step_{{ step }}_at,
        {%- else %}
        case
            when {{ step }} between moments.from_step and moments.to_step then moments.event_ts
            else earlier.step_{{ step }}_at
        end as step_{{ step }}_at,
        {%- endif %}
        {%- endfor %}
        case when moments.to_step is null then earlier.next_at else moments.next_at end as next_at,
        coalesce(moments.to_step, earlier.steps_completed) as steps_completed,
        coalesce(moments.event_ts, earlier.last_step_at) as last_step_at
    from hop_{{ hop - 1 }} as earlier
    left join later_moments as moments
        on
            earlier.funnel = moments.funnel
            and earlier.user_key = moments.user_key
            and case when earlier.next_at <= {{ may_go_on_until('earlier') }} then earlier.next_at end
            = moments.event_ts
            and earlier.steps_completed + 1 = moments.from_step
            and moments.from_step >= {{ hop }}
),
{% endfor %}
{#- PostHog also asks how far each path had come before. #}
hops as (
    {%- for hop in (range(1, most_hops + 1) if by_hop else [most_hops]) %}
    select
        *,
        {{ may_go_on_until('hops') }} as ends_at
    from hop_{{ hop }} as hops
    {%- if not loop.last %}
    where funnel in ({{ text_list(by_hop) }})
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
        {{ first_of_list(list_of(step_instants), 'hops.steps_completed') }} as step_times
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
