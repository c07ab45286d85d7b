with predictions as (
    select * from {{ source('ml', 'churn_predictions') }}
),

snapshots as (
    select
        *,
        greatest(revenue_90d, 0) / greatest(least(tenure_days, 90), 1) * {{ var('churn')['horizon_days'] }}
            as revenue_ahead
    from {{ ref('user_snapshots') }}
    where as_of in (select predictions.as_of from predictions)
),

churn_scores as (
    select
        predictions.user_key,
        predictions.as_of,
        predictions.probability,
        predictions.decile,
        predictions.top_reasons,
        predictions.model_version,
        coalesce(predictions.is_base_rate, false) as is_base_rate,
        {{ as_money('predictions.probability * coalesce(snapshots.revenue_ahead, 0)') }} as value_at_risk
    from predictions
    left join snapshots
        on
            predictions.user_key = snapshots.user_key
            and predictions.as_of = snapshots.as_of
)

select * from churn_scores
