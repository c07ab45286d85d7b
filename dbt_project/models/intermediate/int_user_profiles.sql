{#- Users who share all values are counted together, then their counts are added up by each property: there are far
    fewer profiles than users, and a number is cheaper to group by than texts. -#}

{%- set columns = [] %}
{%- for property in var('cohorts')['properties'] %}{% do columns.append('value_' ~ loop.index) %}{% endfor %}

with properties as (
    select * from {{ ref('int_user_properties_shown') }}
),

described as (
    select
        {%- for property in var('cohorts')['properties'] %}
        max(case when property = {{ quoted(property) }} then value end) as {{ columns[loop.index0] }},
        {%- endfor %}
        user_key
    from properties
    group by user_key
),

user_profiles as (
    select
        user_key,
        dense_rank() over (order by {{ columns | join(', ') or 'user_key' }}) as profile
    from described
)

select * from user_profiles
