{#- An outcome that is told before its horizon is past is a guess, and one that flatters: whoever has not come back yet
    may still do so. -#}
{{ config(meta={'dagster': {'ref': {'name': 'churn_features'}}}) }}

with labelled as (
    select
        'churn' as model,
        as_of,
        {{ add_days('as_of', var('churn')['horizon_days']) }} as horizon_ends
    from {{ ref('churn_features') }}
    where churned is not null
    union all
    select
        'conversion' as model,
        as_of,
        {{ add_days('as_of', var('conversion')['horizon_days']) }} as horizon_ends
    from {{ ref('conversion_features') }}
    where converted is not null
),

told_too_early as (
    select
        labelled.model,
        labelled.as_of,
        count(*) as users
    from labelled
    cross join {{ ref('int_data_span') }} as span
    where {{ local_timestamp('span.last_event_ts') }} < cast(labelled.horizon_ends as timestamp)
    group by labelled.model, labelled.as_of
)

select * from told_too_early
