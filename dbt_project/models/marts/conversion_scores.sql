with predictions as (
    select * from {{ source('ml', 'conversion_predictions') }}
),

conversion_scores as (
    select
        user_key,
        as_of,
        probability,
        decile,
        top_reasons,
        model_version
    from predictions
)

select * from conversion_scores
