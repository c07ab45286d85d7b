{#- Of c steps that compete for events, m are filled from the moment that, for every set S of them, m - c + |S| events
    matching any of S have come (König, 1931: the largest matching is the least such bound). So each fill waits for
    the latest of a few n-th events. -#}

{%- set funnels = var('funnels') | selectattr('order', 'equalto', 'unordered') | list %}

-- depends_on: {{ ref('int_funnels_declared') }}

with declared as (
    {%- for funnel in funnels %}
    {%- for subset in competing_subsets(funnel['steps']) %}
    {%- for filled in range(subset['of'] - subset['size'] + 1, subset['of'] + 1) %}
    select
        {{ quoted(funnel['name']) }} as funnel,
        {{ funnel['window_seconds'] }} as window_seconds,
        {{ subset['group'] }} as competing_group,
        {{ filled }} as filled,
        cast({{ subset['mask'] }} as bigint) as mask,
        {{ filled - subset['of'] + subset['size'] }} as nth
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as funnel,
        0 as window_seconds,
        0 as competing_group,
        0 as filled,
        0 as mask,
        0 as nth
),

fill_conditions as (
    select * from declared
    where funnel is not null
)

select * from fill_conditions
