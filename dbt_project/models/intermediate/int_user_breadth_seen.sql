{{ config(materialized='ephemeral') }}

with breadth as (
    select
        user_key,
        as_of,
        {%- for things in ['items', 'pages', 'platforms'] %}
        cast(sum({{ things }}) as double) as {{ things }}_lifetime,
        {%- endfor %}
        cast(coalesce(sum(items) filter (where {{ days_between('known_from', 'as_of') }} <= 30), 0) as double)
            as new_items_30d
    from ({{ known_at_cutoffs('int_user_breadth_known') }}) as known
    group by user_key, as_of
)

select * from breadth
