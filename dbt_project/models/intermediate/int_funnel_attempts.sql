{{ config(materialized='ephemeral') }}

{%- set step_instants = ['hops.entered_at'] %}
{%- for step in range(2, longest_path() + 1) %}{% do step_instants.append('hops.step_' ~ step ~ '_at') %}{% endfor %}

with hops as (
    select * from {{ ref('int_funnel_hops') }}
),

unordered as (
    select * from {{ ref('int_funnel_unordered') }}
),

attempts as (
    select
        hops.funnel,
        hops.user_key,
        hops.entered_at,
        hops.entry_date,
        hops.first_run,
        {{ precedence('hops') }} as precedence,
        hops.last_step_at,
        hops.ends_at,
        {{ first_of_list(list_of(step_instants), 'hops.steps_completed') }} as step_times
    from hops
    union all
    select * from unordered
)

select * from attempts
