{{ config(materialized='incremental', unique_key=['user_key', 'known_from', 'known_until'], meta={'region': 'users'}) }}

with things as (
    select * from {{ ref('int_user_things_known') }}
),

user_breadth_known as (
    select
        user_key,
        known_from,
        known_until,
        {%- for kind in ['items', 'pages', 'platforms'] %}
        count(*) filter (where kind = '{{ kind }}') as {{ kind }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from things
    group by user_key, known_from, known_until
)

select * from user_breadth_known
