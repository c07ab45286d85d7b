{# The paths beside key events, in the column that has them, ranked by how many key events they have. #}
{% macro ranked_paths(path, name) -%}
with key_events as (
    select * from {{ ref('int_key_events') }}
),

counted as (
    select
        key_event,
        {{ path }} as path,
        count(*) as key_events,
        count(distinct user_key) as users,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from key_events
    group by key_event, {{ path }}
),

{{ name }} as (
    select
        *,
        key_events / cast(sum(key_events) over (partition by key_event) as double) as share,
        row_number() over (partition by key_event order by key_events desc, path asc) as path_rank
    from counted
)

select * from {{ name }}
{%- endmacro %}
