{{ config(materialized='ephemeral') }}

{#- By default the deepest attempt of a day, then the earliest entry, then the earliest end: the best of a longer time
    is the best of its days' best. Strict funnels alone have more than one attempt from an instant. -#}

{%- set by_all = sort_key(['-precedence', 'entered_at', 'last_step_at', '-first_run']) %}
{%- set by_entry = order_number('-precedence', microseconds('entered_at')) %}

with attempts as (
    select
        *,
        {{ by_all if 'strict' in var('funnels') | map(attribute='order') else by_entry }} as in_order
    from {{ ref('int_funnel_attempts') }}
),

best as (
    select
        funnel,
        user_key,
        entry_date,
        max(precedence) as precedence,
        {%- if paths_may_end_early() %}
        min_by(ends_at, in_order) as ends_at,
        {%- endif %}
        min_by(step_times, in_order) as step_times
    from attempts
    where {{ in_region('entries', 'attempts', 'entry_date', anew=not stored('int_funnel_entries')) }}
    group by funnel, user_key, entry_date
),

best_attempts as (
    select
        *,
        {{ list_length('step_times') }} as path_length,
        {{ list_element('step_times', 1) }} as entered_at
    from best
)

select * from best_attempts
