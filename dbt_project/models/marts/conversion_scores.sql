with predictions as (
    select * from {{ source('ml', 'conversion_predictions') }}
),

snapshots as (
    select * from {{ ref('user_snapshots') }}
    where as_of in (select predictions.as_of from predictions)
),

everybody as (
    select cast(sum(cast(revenue_lifetime as decimal(18, 4))) as double) / sum(key_events_lifetime) as revenue_each
    from snapshots
    where key_events_lifetime > 0
),

conversion_scores as (
    select
        predictions.user_key,
        predictions.as_of,
        predictions.probability,
        predictions.decile,
        predictions.top_reasons,
        predictions.model_version,
        coalesce(predictions.is_base_rate, false) as is_base_rate,
        cast(
            predictions.probability
            * greatest(coalesce(snapshots.revenue_per_key_event, everybody.revenue_each, 0), 0)
            as decimal(18, 4)
        ) as expected_revenue
    from predictions
    cross join everybody
    left join snapshots
        on
            predictions.user_key = snapshots.user_key
            and predictions.as_of = snapshots.as_of
)

select * from conversion_scores
