{{ config(materialized='ephemeral') }}

{#- Simultaneous events may be taken in whichever order helps, so an instant carries a user from one step as far as its
    events can fill, and the path goes on at a strictly later one. A strict path may also stop short in its first
    instant: what is left unused may lie before it. -#}

{%- set in_order = funnels_in_order() %}
{%- set conditions = funnel_conditions() %}
{%- set exclusions = range(1, most_exclusions() + 1) %}

with ties as (
    select * from {{ ref('int_event_ties') }}
),

lone_runs as (
    select * from {{ ref('int_funnel_lone_runs') }}
),

matched as (
    select
        {{ each_in_order() }},
        user_key,
        event_ts,
        activity_date,
        next_instants
    from {{ ref('int_funnel_following') }}
),

tied_events as (
    select * from matched
    where
        matches != 0
        and (
            (user_key, event_ts) in (
                select
                    ties.user_key,
                    ties.event_ts
                from ties
            )
            or {{ fills_several('matched') }}
        )
),

runs as (
    {%- for funnel in in_order %}
    {%- set steps = path_steps(funnel) %}
    {%- set awaited = awaited_in_turn(funnel, conditions) %}
    {%- set excluded = excluded_in_turn(funnel, conditions, exclusions | length) %}
    {%- for step in steps %}
    {%- set first = loop.index0 %}
    {%- set may_stop_short = funnel['order'] == 'strict' and first == 0 %}
    {%- for last in range(first, steps | length) %}
    {%- set is_furthest = 'true' if may_stop_short or loop.last
        else 'not (' ~ can_fill(funnel, steps[first:last + 2]) ~ ')' %}
    select
        tied_events.funnel,
        tied_events.user_key,
        tied_events.event_ts,
        tied_events.activity_date,
        {{ first + 1 }} as from_step,
        {{ last + 1 }} as to_step,
        {%- for number in exclusions %}
        min({{ list_element('tied_events.next_instants', excluded[number - 1]) }}) as excluded_{{ number }}_at,
        {%- endfor %}
        min({{ list_element('tied_events.next_instants', awaited[last + 1]) }}) as next_at
    from tied_events
    where tied_events.funnel = {{ quoted(funnel['name']) }}
    group by tied_events.funnel, tied_events.user_key, tied_events.event_ts, tied_events.activity_date
    having {{ can_fill(funnel, steps[first:last + 1]) }} and {{ is_furthest }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select * from lone_runs
)

select * from runs
