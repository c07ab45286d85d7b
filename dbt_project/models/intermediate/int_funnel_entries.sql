{{ config(
    materialized='incremental',
    unique_key=['funnel', 'user_key', 'entry_date'],
    meta={'region': 'entries', 'moment': 'entry_date'},
) }}

{#- The deepest attempt of a day, then the earliest entry, then the earliest end: the best of a longer time is the best
    of its days' best. Strict funnels alone have more than one attempt from an instant. -#}

{%- set any_strict = var('funnels') | selectattr('order', 'equalto', 'strict') | list | length > 0 %}

with attempts as (
    select
        *,
        cast({{ local_timestamp('entered_at') }} as date) as entry_date,
        {% if any_strict -%}
        {{ sort_key(['-steps_completed', 'entered_at', 'last_step_at', '-first_run']) }} as in_order
        {%- else -%}
        {{ order_number('-steps_completed', microseconds('entered_at')) }} as in_order
        {%- endif %}
    from {{ ref('int_funnel_attempts') }}
),

best as (
    select
        funnel,
        user_key,
        entry_date,
        max(steps_completed) as steps_completed,
        min_by(step_times, in_order) as step_times
    from attempts
    where {{ in_region('entries', 'attempts', 'entry_date') }}
    group by funnel, user_key, entry_date
),

entries as (
    select
        *,
        {{ list_element('step_times', 1) }} as entered_at,
        {{ list_element('step_times', 'steps_completed') }} as last_step_at
    from best
)

select * from entries
