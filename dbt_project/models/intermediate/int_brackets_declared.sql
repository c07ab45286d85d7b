{#- Brackets come from avila.yml alone; built after the events, so that a night has one dbt run before the models are
    scored. -#}
-- depends_on: {{ ref('stg_events') }}

with declared as (
    {%- for bracket in var('cohorts')['brackets'] %}
    select
        {{ quoted(bracket['name']) }} as bracket,
        {{ bracket['first_day'] }} as first_day,
        {{ bracket['last_day'] }} as last_day
    union all
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as bracket,
        0 as first_day,
        0 as last_day
),

brackets_declared as (
    select * from declared
    where bracket is not null
)

select * from brackets_declared
