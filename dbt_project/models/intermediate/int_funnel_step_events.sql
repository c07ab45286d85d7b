{{ config(materialized='view') }}

{#- A view, as it is read twice and cheaper to work out than to keep. -#}

{%- set names = [] %}
{%- for funnel in var('funnels') %}
{%- for step in funnel['steps'] + funnel['exclusions'] if step['event'] not in names %}
{%- do names.append(step['event']) %}
{%- endfor %}
{%- endfor %}

with events as (
    select * from {{ events_in_reach(anew=not stored('int_funnel_entries')) }}
    {%- if none not in names %}
    where event_name in ({{ text_list(names) }})
    {%- endif %}
),

matched as (
    {%- for funnel in var('funnels') %}
    select
        {{ quoted(funnel['name']) }} as funnel,
        user_key,
        event_ts,
        cast(
            {%- for step in funnel['steps'] %}
            case when {{ matches_step(step) }} then {{ 2 ** (step['number'] - 1) }} else 0 end
            {%- if not loop.last %} +{% endif %}
            {%- endfor %}
            {%- for exclusion in funnel['exclusions'] %}
            + case when {{ matches_step(exclusion) }} then {{ exclusion_bit(funnel, exclusion) }} else 0 end
            {%- endfor %} as bigint
        ) as matches
    from events
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select
        cast(null as {{ dbt.type_string() }}) as funnel,
        user_key,
        event_ts,
        cast(0 as bigint) as matches
    from events
    where false
    {%- endfor %}
),

step_events as (
    select * from matched
    where matches != 0
)

select * from step_events
