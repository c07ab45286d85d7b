{{ config(materialized='incremental', unique_key=['user_key', 'bracket'], meta={'region': 'users'}) }}

with days as (
    select
        days.user_key,
        days.revenue,
        {{ days_between('anchors.anchor_date', 'days.activity_date') }} as day_number
    from {{ ref('user_days') }} as days
    inner join {{ ref('int_user_anchors') }} as anchors on days.user_key = anchors.user_key
    where
        {{ in_region('users', 'days') }}
        and days.activity_date >= anchors.anchor_date
),

user_brackets as (
    {%- for bracket in var('cohorts')['brackets'] %}
    select
        user_key,
        {{ quoted(bracket['name']) }} as bracket,
        min(day_number) <= {{ bracket['last_day'] }} as is_retained,
        cast(sum(case when day_number <= {{ bracket['last_day'] }} then revenue else 0 end) as decimal(18, 4)) as revenue
    from days
    where day_number >= {{ bracket['first_day'] }}
    group by user_key
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- else %}
    select
        user_key,
        cast(null as {{ dbt.type_string() }}) as bracket,
        false as is_retained,
        revenue
    from days
    where false
    {%- endfor %}
)

select * from user_brackets
