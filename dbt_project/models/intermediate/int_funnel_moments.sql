{{ config(materialized='ephemeral') }}

{#- After an instant the path goes on at a strictly later one. A strict path goes on only at the user's very next
    instant, and only from one whose events it used up, or from its first. -#}

{%- set any_strict = var('funnels') | selectattr('order', 'equalto', 'strict') | list | length > 0 %}
{%- set later_steps = range(2, [longest_path(), 2] | max + 1) %}
{%- set exclusions = range(1, most_exclusions() + 1) %}

with runs as (
    select * from {{ ref('int_funnel_runs') }}
),

declared as (
    select
        {{ as_funnel('funnel') }} as funnel,
        step_order
    from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

{% if any_strict -%}
all_instants as (
    select
        user_key,
        event_ts,
        count(*) as all_events,
        lead(event_ts) over (partition by user_key order by event_ts) as next_event_ts
    from {{ events_in_reach(anew=not stored('int_funnel_entries')) }}
    group by user_key, event_ts
),

{% endif -%}
following as (
    select
        {%- for step in later_steps %}
        {%- set its_instant = 'case when from_step = ' ~ step ~ ' then event_ts end' %}
        {{ first_later(its_instant, 'funnel, user_key', 'event_ts') }} as step_{{ step }}_at,
        {%- endfor %}
        {%- for number in exclusions %}
        {%- set its_instant = 'case when from_step = -' ~ number ~ ' then event_ts end' %}
        {{ first_later(its_instant, 'funnel, user_key', 'event_ts') }} as excluded_{{ number }}_at,
        {%- endfor %}
        *
    from runs
),

linked as (
    select
        funnel,
        user_key,
        event_ts,
        activity_date,
        from_step,
        to_step,
        {%- for number in exclusions %}
        excluded_{{ number }}_at,
        {%- endfor %}
        case to_step
            {%- for step in later_steps %}
            when {{ step - 1 }} then step_{{ step }}_at
            {%- endfor %}
        end as next_at
    from following
    {%- if exclusions %}
    where from_step > 0
    {%- endif %}
),

moments as (
    select
        linked.funnel,
        linked.user_key,
        linked.event_ts,
        linked.activity_date,
        linked.from_step,
        {%- for number in exclusions %}
        linked.excluded_{{ number }}_at,
        {%- endfor %}
        {%- if any_strict %}
        case
            when declared.step_order = 'ordered' then linked.next_at
            when
                linked.from_step = 1
                or all_instants.all_events = linked.to_step - linked.from_step + 1
                then all_instants.next_event_ts
        end as next_at,
        {%- else %}
        linked.next_at,
        {%- endif %}
        linked.to_step
    from linked
    inner join declared on linked.funnel = declared.funnel
    {%- if any_strict %}
    inner join all_instants
        on
            linked.user_key = all_instants.user_key
            and linked.event_ts = all_instants.event_ts
    {%- endif %}
)

select * from moments
