{{ config(materialized='ephemeral') }}

{#- What comes next is looked for by condition, before events are taken for each funnel: there are fewer of both. -#}

{%- set no_instant = 'cast(null as timestamp)' %}
{%- set conditions = funnel_conditions() %}
{%- set awaited = awaited_conditions(conditions) %}
{%- set instants = [] %}
{%- for condition in conditions.values() %}
{%- set its_instant = 'case when condition_' ~ condition['number'] ~ ' then event_ts end' %}
{%- set next_instant = first_later(its_instant, 'user_key', 'event_ts') %}
{%- do instants.append(next_instant if condition['number'] in awaited else no_instant) %}
{%- endfor %}

with conditions_met as (
    select * from {{ ref('int_funnel_conditions_met') }}
),

following as (
    select
        user_key,
        event_ts,
        activity_date,
        {{ list_of(matches_by_funnel(funnels_in_order(), conditions)) }} as matches,
        {{ list_of(instants or [no_instant]) }} as next_instants
    from conditions_met
)

select * from following
