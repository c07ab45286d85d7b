{{ config(materialized='ephemeral') }}

{#- Simultaneous events may be taken in whichever order helps, so an instant carries a user from one step as far as its
    events can fill. A strict path may also stop short in its first instant: what is left unused may lie before it. -#}

with declared as (
    select
        {{ as_funnel('funnel') }} as funnel,
        step_bit,
        path_number,
        is_optional
    from {{ ref('int_funnels_declared') }}
    where step_order != 'unordered'
),

ties as (
    select * from {{ ref('int_event_ties') }}
),

lone as (
    select
        lone_events.funnel,
        lone_events.user_key,
        lone_events.event_ts,
        lone_events.activity_date,
        declared.path_number as from_step,
        declared.path_number as to_step
    from {{ ref('int_funnel_step_events') }} as lone_events
    inner join declared
        on
            lone_events.funnel = declared.funnel
            and lone_events.matches & declared.step_bit != 0
    where
        (lone_events.user_key, lone_events.event_ts) not in (
            select
                ties.user_key,
                ties.event_ts
            from ties
        )
        and not declared.is_optional
        and not {{ fills_several('lone_events') }}
),

tied_events as (
    select * from {{ ref('int_funnel_step_events') }} as step_events
    where
        (user_key, event_ts) in (
            select
                ties.user_key,
                ties.event_ts
            from ties
        )
        or {{ fills_several('step_events') }}
),

excluded as (
    {%- for funnel in funnels_with('exclusions') %}
    {%- for exclusion in funnel['exclusions'] %}
    select
        funnel,
        user_key,
        event_ts,
        activity_date,
        -{{ exclusion['number'] }} as from_step,
        -{{ exclusion['number'] }} as to_step
    from {{ ref('int_funnel_step_events') }}
    where
        funnel = {{ quoted(funnel['name']) }}
        and matches & {{ exclusion_bit(funnel, exclusion) }} != 0
    union all
    {%- endfor %}
    {%- endfor %}
    select * from lone
),

runs as (
    {%- for funnel in funnels_in_order() %}
    {%- set steps = path_steps(funnel) %}
    {%- for step in steps %}
    {%- set first = loop.index0 %}
    {%- set may_stop_short = funnel['order'] == 'strict' and first == 0 %}
    {%- for last in range(first, steps | length) %}
    {%- set is_furthest = 'true' if may_stop_short or loop.last
        else 'not (' ~ can_fill(funnel, steps[first:last + 2]) ~ ')' %}
    select
        funnel,
        user_key,
        event_ts,
        activity_date,
        {{ first + 1 }} as from_step,
        {{ last + 1 }} as to_step
    from tied_events
    where funnel = {{ quoted(funnel['name']) }}
    group by funnel, user_key, event_ts, activity_date
    having {{ can_fill(funnel, steps[first:last + 1]) }} and {{ is_furthest }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select * from excluded
)

select * from runs
