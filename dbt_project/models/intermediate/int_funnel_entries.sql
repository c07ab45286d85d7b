{{ config(
    materialized='incremental',
    unique_key=['funnel', 'user_key', 'entry_date'],
    meta={'region': 'entries', 'moment': 'entry_date'},
) }}

{%- set any_optional = funnels_with('optional') | length > 0 %}
{%- set by_event = funnels_with('breakdown') | selectattr('breakdown.by') | list | length > 0 %}

with attempts as (
    select * from {{ ref('int_funnel_best_attempts') }}
),

{% if any_optional -%}
optional_steps as (
    select * from {{ ref('int_funnel_optional_steps') }}
),

{% endif -%}
{% if by_event -%}
entry_values as (
    select * from {{ ref('int_funnel_entry_values') }}
),

{% endif -%}
placed as (
    select
        cast(attempts.funnel as {{ dbt.type_string() }}) as funnel,
        attempts.user_key,
        attempts.entry_date,
        attempts.precedence,
        {%- if any_optional %}
        coalesce(optional_steps.steps_completed, attempts.path_length) as steps_completed,
        coalesce(optional_steps.step_times, attempts.step_times) as step_times,
        {%- else %}
        attempts.path_length as steps_completed,
        attempts.step_times,
        {%- endif %}
        {%- if paths_may_end_early() %}
        attempts.ends_at,
        {%- endif %}
        {{ 'entry_values.breakdown' if by_event else 'cast(null as ' ~ dbt.type_string() ~ ') as breakdown' }}
    {{ from_attempts((['optional_steps'] if any_optional else []) + (['entry_values'] if by_event else [])) }}
),

entries as (
    select
        *,
        {{ list_element('step_times', 1) }} as entered_at,
        {{ list_element('step_times', 'steps_completed') }} as last_step_at
    from placed
)

select * from entries
