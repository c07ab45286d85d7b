{{ config(materialized='ephemeral') }}

{#- An optional step decides nothing: a path takes the events, and is as deep, as without it. So an event at the instant
    of a step beside it counts only if it cannot fill that one. -#}

with attempts as (
    select * from {{ ref('int_funnel_best_attempts') }}
),

{%- for optional in optional_steps() %}
{%- set funnel, step = optional['funnel'], optional['step'] %}
{%- set before = list_element('attempts.step_times', optional['after']) %}
{%- set after = list_element('attempts.step_times', optional['after'] + 1) %}

{{ optional['name'] }} as (
    select
        attempts.funnel,
        attempts.user_key,
        attempts.entry_date,
        min(step_events.event_ts) as filled_at
    {{ from_attempts(optional['chain'] | map(attribute='name')) }}
    inner join {{ ref('int_funnel_step_events') }} as step_events
        on
            attempts.funnel = step_events.funnel
            and attempts.user_key = step_events.user_key
            and step_events.event_ts >= {{ before }}
            and step_events.event_ts <= coalesce({{ after }}, attempts.ends_at)
    where
        attempts.funnel = {{ quoted(funnel['name']) }}
        and step_events.matches & {{ step_mask([step]) }} != 0
        and (
            step_events.matches & {{ step_mask(path_steps(funnel)) }} = 0
            or (
                step_events.event_ts > {{ before }}
                and step_events.event_ts < coalesce({{ after }}, {{ add_seconds('attempts.ends_at', 1) }})
            )
        )
        and {{ comes_after(optional['chain']) }}
    group by attempts.funnel, attempts.user_key, attempts.entry_date
),
{%- endfor %}

optional_steps as (
    {%- for funnel in funnels_with('optional') %}
    {%- set times, places, fillers = [], [], [] %}
    {%- for step in funnel['steps'] %}
    {%- if step['optional'] %}
    {%- for optional in optional_steps() if optional['funnel'] == funnel and optional['step'] == step %}
    {%- do fillers.append(optional['name']) %}
    {%- do times.append(optional['name'] ~ '.filled_at') %}
    {%- endfor %}
    {%- else %}
    {%- do places.append(step['number']) %}
    {%- do times.append(list_element('attempts.step_times', places | length)) %}
    {%- endif %}
    {%- endfor %}
    select
        attempts.funnel,
        attempts.user_key,
        attempts.entry_date,
        {{ list_element(list_of(places), 'attempts.path_length') }} as steps_completed,
        {{ list_of(times) }} as step_times
    {{ from_attempts(fillers) }}
    where attempts.funnel = {{ quoted(funnel['name']) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select
        attempts.funnel,
        attempts.user_key,
        attempts.entry_date,
        attempts.path_length as steps_completed,
        attempts.step_times
    from attempts
    {%- endfor %}
)

select * from optional_steps
