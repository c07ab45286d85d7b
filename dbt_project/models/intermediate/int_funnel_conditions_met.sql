{{ config(materialized='ephemeral') }}

{#- Each event is read once for all funnels, and each condition looked at once, however many steps share it. -#}

{%- set conditions = funnel_conditions().values() %}
{%- set names = conditions | map(attribute='event') | unique | list %}

with events as (
    select * from {{ events_in_reach(anew=not stored('int_funnel_entries')) }}
    {%- if none not in names %}
    where event_name in ({{ text_list(names) }})
    {%- endif %}
),

conditions_met as (
    select
        {%- for condition in conditions %}
        {{ matches_step(condition) }} as condition_{{ condition['number'] }},
        {%- endfor %}
        user_key,
        event_ts,
        activity_date
    from events
)

select * from conditions_met
