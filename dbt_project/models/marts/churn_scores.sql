with predictions as (
    select * from {{ source('ml', 'churn_predictions') }}
),

churn_scores as (
    select
        user_key,
        as_of,
        probability,
        decile,
        top_reasons,
        model_version
    from predictions
)

select * from churn_scores
