{{ config(materialized='ephemeral') }}

{#- A strict path goes on only at the user's very next instant, and only from one whose events it used up, or from its
    first. -#}

{%- set strict = var('funnels') | selectattr('order', 'equalto', 'strict') | map(attribute='name') | list %}

with runs as (
    select * from {{ ref('int_funnel_runs') }}
),

{% if strict -%}
all_instants as (
    select
        user_key,
        event_ts,
        count(*) as all_events,
        lead(event_ts) over (partition by user_key order by event_ts) as next_event_ts
    from {{ events_in_reach(anew=not stored('int_funnel_entries')) }}
    group by user_key, event_ts
),

moments as (
    select
        runs.funnel,
        runs.user_key,
        runs.event_ts,
        runs.activity_date,
        runs.from_step,
        runs.to_step,
        {%- for number in range(1, most_exclusions() + 1) %}
        runs.excluded_{{ number }}_at,
        {%- endfor %}
        case
            when runs.funnel not in ({{ text_list(strict) }}) then runs.next_at
            when runs.from_step = 1 or all_instants.all_events = runs.to_step - runs.from_step + 1
                then all_instants.next_event_ts
        end as next_at
    from runs
    inner join all_instants
        on
            runs.user_key = all_instants.user_key
            and runs.event_ts = all_instants.event_ts
)

{%- else -%}
moments as (
    select * from runs
)

{%- endif %}

select * from moments
