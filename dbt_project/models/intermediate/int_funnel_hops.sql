{{ config(materialized='ephemeral') }}

{#- Every way in is followed hop by hop as early as possible. Each hop is a step further at least, so that fewer and
    fewer moments need to be looked through; a path that cannot go on stays as it is. -#}

{%- set exclusions = range(1, most_exclusions() + 1) %}
{%- set most_hops = longest_path() %}
{%- set later_steps = range(2, most_hops + 1) %}
{%- set by_hop = funnels_with('posthog') | map(attribute='name') | list %}

with later_moments as (
    select * from {{ ref('int_funnel_moments') }}
    where from_step > 1
),

hop_1 as (
    select * from {{ ref('int_funnel_ways_in') }}
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
)

select * from hops
