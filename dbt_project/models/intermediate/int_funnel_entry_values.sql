{{ config(materialized='ephemeral') }}

{#- Of simultaneous events that match the first step, the least value that is known. -#}

with attempts as (
    select * from {{ ref('int_funnel_best_attempts') }}
),

first_step_values as (
    {%- for funnel in funnels_with('breakdown') if funnel['breakdown']['by'] %}
    select
        {{ quoted(funnel['name']) }} as funnel,
        user_key,
        event_ts,
        min(cast(({{ funnel['breakdown']['by'] }}) as {{ dbt.type_string() }})) as value_text
    from {{ events_in_reach(anew=not stored('int_funnel_entries')) }}
    where {{ matches_first_step(funnel) }}
    group by user_key, event_ts
    union all
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as funnel,
        cast(null as {{ dbt.type_string() }}) as user_key,
        cast(null as timestamp) as event_ts,
        cast(null as {{ dbt.type_string() }}) as value_text
    where false
),

entry_values as (
    select
        attempts.funnel,
        attempts.user_key,
        attempts.entry_date,
        {{ breakdown_label('first_step_values.value_text') }} as breakdown
    from attempts
    inner join first_step_values
        on
            attempts.funnel = first_step_values.funnel
            and attempts.user_key = first_step_values.user_key
            and attempts.entered_at = first_step_values.event_ts
)

select * from entry_values
