{{ config(materialized='view') }}

{#- A view, as it is read twice and cheaper to work out than to keep. Each event is read once for all funnels. -#}

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
    select
        {%- if var('funnels') | length == 1 %}
        {{ as_funnel(quoted(var('funnels')[0]['name'])) }} as funnel,
        {{ funnel_matches(var('funnels')[0]) }} as matches,
        {%- else %}
        {{ as_funnel(each_of(list_of(funnel_names()))) }} as funnel,
        {{ each_of(list_of(matches_by_funnel())) }} as matches,
        {%- endif %}
        user_key,
        event_ts,
        activity_date
    from events
),

step_events as (
    select * from matched
    where matches != 0
)

select * from step_events
