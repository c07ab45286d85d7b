{{ config(materialized='ephemeral') }}

{#- Simultaneous events may be taken in whichever order helps, so an instant carries a user from one step as far as its
    events can fill, and the path goes on at a strictly later one. A strict path may also stop short in its first
    instant: what is left unused may lie before it. -#}

{%- set in_order = funnels_in_order() %}
{%- set conditions = funnel_conditions() %}
{%- set exclusions = range(1, most_exclusions() + 1) %}

with declared as (
    select
        {{ as_funnel('funnel') }} as funnel,
        step_bit,
        path_number,
        is_optional,
        awaits
    from {{ ref('int_funnels_declared') }}
    where step_order != 'unordered'
),

ties as (
    select * from {{ ref('int_event_ties') }}
),

matched as not materialized (
    select
        {%- if in_order | length == 1 %}
        {{ as_funnel(quoted(in_order[0]['name'])) }} as funnel,
        {{ list_element('matches', 1) }} as matches,
        {%- else %}
        {{ as_funnel(each_of(list_of(funnel_names(in_order)))) }} as funnel,
        {{ each_of('matches') }} as matches,
        {%- endif %}
        user_key,
        event_ts,
        activity_date,
        next_instants
    from {{ ref('int_funnel_following') }}
),

lone as (
    select
        lone_events.funnel,
        lone_events.user_key,
        lone_events.event_ts,
        lone_events.activity_date,
        declared.path_number as from_step,
        declared.path_number as to_step,
        {%- for number in exclusions %}
        case lone_events.funnel
            {%- for funnel in funnels_with('exclusions') %}
            {%- set excluded = excluded_in_turn(funnel, conditions, exclusions | length) %}
            when {{ quoted(funnel['name']) }}
                then {{ list_element('lone_events.next_instants', excluded[number - 1]) }}
            {%- endfor %}
        end as excluded_{{ number }}_at,
        {%- endfor %}
        {{ list_element('lone_events.next_instants', 'declared.awaits') }} as next_at
    from matched as lone_events
    inner join declared
        on
            lone_events.funnel = declared.funnel
            and lone_events.matches & declared.step_bit != 0
    where
        lone_events.matches != 0
        and (lone_events.user_key, lone_events.event_ts) not in (
            select
                ties.user_key,
                ties.event_ts
            from ties
        )
        and not declared.is_optional
        and not {{ fills_several('lone_events') }}
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
    select * from lone
)

select * from runs
