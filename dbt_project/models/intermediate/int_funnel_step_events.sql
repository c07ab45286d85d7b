{{ config(materialized='view') }}

{#- A view, as it is cheaper to work out than to keep. -#}

with conditions_met as (
    select * from {{ ref('int_funnel_conditions_met') }}
),

matched as (
    select
        {{ as_funnel(each_of(list_of(funnel_names(var('funnels'))))) }} as funnel,
        {{ each_of(list_of(matches_by_funnel(var('funnels'), funnel_conditions()))) }} as matches,
        user_key,
        event_ts,
        activity_date
    from conditions_met
),

step_events as (
    select * from matched
    where matches != 0
)

select * from step_events
