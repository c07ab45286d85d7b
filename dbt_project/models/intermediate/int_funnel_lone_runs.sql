{{ config(materialized='ephemeral') }}

{#- An event that shares its instant with no other fills one step, and the path goes on at a later one. -#}

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

lone_events as (
    select
        {{ each_in_order() }},
        user_key,
        event_ts,
        activity_date,
        next_instants
    from {{ ref('int_funnel_following') }}
),

lone_runs as (
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
    from lone_events
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
)

select * from lone_runs
