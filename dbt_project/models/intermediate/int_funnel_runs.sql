{{ config(materialized='ephemeral') }}

{#- Simultaneous events may be taken in whichever order helps, so an instant carries a user from one step as far as its
    events can fill. A strict path may also stop short in its first instant: what is left unused may lie before it. -#}

{%- set funnels = var('funnels') | rejectattr('order', 'equalto', 'unordered') | list %}

with step_events as (
    select * from {{ ref('int_funnel_step_events') }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
    where step_order != 'unordered'
),

instants as (
    select
        funnel,
        user_key,
        event_ts,
        min(matches) as matches,
        count(*) as step_events
    from step_events
    group by funnel, user_key, event_ts
),

lone as (
    select
        instants.funnel,
        instants.user_key,
        instants.event_ts,
        declared.step_number as from_step,
        declared.step_number as to_step
    from instants
    inner join declared
        on
            instants.funnel = declared.funnel
            and instants.matches & declared.step_bit != 0
    where instants.step_events = 1
),

tied_events as (
    select step_events.*
    from step_events
    inner join instants
        on
            step_events.funnel = instants.funnel
            and step_events.user_key = instants.user_key
            and step_events.event_ts = instants.event_ts
    where instants.step_events > 1
),

runs as (
    {%- for funnel in funnels %}
    {%- set steps = funnel['steps'] %}
    {%- for step in steps %}
    {%- set first = loop.index0 %}
    {%- set may_stop_short = funnel['order'] == 'strict' and first == 0 %}
    {%- for last in range(first, steps | length) %}
    {%- set is_furthest = 'true' if may_stop_short or loop.last
        else 'not (' ~ can_fill(steps[first:last + 2]) ~ ')' %}
    select
        funnel,
        user_key,
        event_ts,
        {{ first + 1 }} as from_step,
        {{ last + 1 }} as to_step
    from tied_events
    where funnel = {{ quoted(funnel['name']) }}
    group by funnel, user_key, event_ts
    having {{ can_fill(steps[first:last + 1]) }} and {{ is_furthest }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select * from lone
)

select * from runs
