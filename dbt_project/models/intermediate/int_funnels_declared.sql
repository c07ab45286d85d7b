{#- Funnels come from avila.yml alone; built after the events they are matched with, so that a night has one dbt run
    before the models are scored. -#}
-- depends_on: {{ ref('stg_events') }}

{%- set conditions = funnel_conditions() %}

with declared as (
    {%- for funnel in var('funnels') %}
    {%- set path = path_steps(funnel) %}
    {%- set awaited = awaited_in_turn(funnel, conditions) %}
    {%- for step in funnel['steps'] %}
    {%- set before = path | selectattr('number', 'lessthan', step['number']) | list %}
    select
        {{ quoted(funnel['name']) }} as funnel,
        {{ quoted(funnel['order']) }} as step_order,
        {{ funnel['window_seconds'] }} as window_seconds,
        {{ funnel['steps'] | length }} as steps,
        {{ step['number'] }} as step_number,
        cast({{ 2 ** (step['number'] - 1) }} as bigint) as step_bit,
        {{ quoted(step['name']) }} as step_name,
        {{ 'true' if step['optional'] else 'false' }} as is_optional,
        {{ 'null' if step['optional'] else before | length + 1 }} as path_number,
        {{ (before | last)['number'] if before else 0 }} as previous_number,
        cast({{ 'null' if step['optional'] else awaited[before | length + 1] }} as integer) as awaits
    union all
    {%- endfor %}
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as funnel,
        cast(null as {{ dbt.type_string() }}) as step_order,
        0 as window_seconds,
        0 as steps,
        0 as step_number,
        0 as step_bit,
        cast(null as {{ dbt.type_string() }}) as step_name,
        false as is_optional,
        0 as path_number,
        0 as previous_number,
        0 as awaits
),

funnels_declared as (
    select * from declared
    where funnel is not null
)

select * from funnels_declared
