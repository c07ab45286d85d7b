with predictions as (
    select * from {{ source('ml', 'conversion_predictions') }}
),

snapshots as (
    select * from {{ ref('user_snapshots') }}
    where as_of in (select predictions.as_of from predictions)
),

scored as (
    select
        predictions.*,
        snapshots.revenue_per_key_event,
        snapshots.revenue_lifetime,
        snapshots.key_events_lifetime
    from predictions
    left join snapshots
        on
            predictions.user_key = snapshots.user_key
            and predictions.as_of = snapshots.as_of
),

everybody as (
    select cast(sum(cast(revenue_lifetime as decimal(18, 4))) as double) / sum(key_events_lifetime) as revenue_each
    from scored
    where key_events_lifetime > 0
),

conversion_scores as (
    select
        scored.user_key,
        scored.as_of,
        scored.probability,
        scored.decile,
        scored.top_reasons,
        scored.model_version,
        coalesce(scored.is_base_rate, false) as is_base_rate,
        cast(
            scored.probability * greatest(coalesce(scored.revenue_per_key_event, everybody.revenue_each, 0), 0)
            as decimal(18, 4)
        ) as expected_revenue
    from scored
    cross join everybody
)

select * from conversion_scores
