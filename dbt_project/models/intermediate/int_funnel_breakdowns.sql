{#- The commonest values over all of the history, so that a value has the same label in every period. -#}

with counted as (
    select
        funnel,
        breakdown,
        count(*) as users
    from {{ ref('funnel_users') }}
    where breakdown != 'null'
    group by funnel, breakdown
),

ranked as (
    select
        *,
        row_number() over (
            partition by funnel order by users desc, {{ labelled_value('breakdown') }} asc, breakdown asc
        ) as breakdown_rank
    from counted
),

declared as (
    {%- for funnel in funnels_with('breakdown') %}
    select
        {{ quoted(funnel['name']) }} as funnel,
        {{ funnel['breakdown']['top'] }} as top_values
    union all
    {%- endfor %}
    select
        cast(null as {{ dbt.type_string() }}) as funnel,
        0 as top_values
),

breakdowns as (
    select
        declared.funnel,
        ranked.breakdown,
        ranked.breakdown_rank
    from declared
    inner join ranked
        on
            declared.funnel = ranked.funnel
            and declared.top_values >= ranked.breakdown_rank
)

select * from breakdowns
