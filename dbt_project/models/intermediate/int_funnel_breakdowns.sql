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

breakdowns as (
    select
        funnel,
        breakdown,
        breakdown_rank
    from ranked
    where
        false
        {%- for funnel in funnels_with('breakdown') %}
        or (funnel = {{ quoted(funnel['name']) }} and breakdown_rank <= {{ funnel['breakdown']['top'] }})
        {%- endfor %}
)

select * from breakdowns
