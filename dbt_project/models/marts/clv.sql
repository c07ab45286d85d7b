with summaries as (
    select * from {{ ref('purchase_summaries') }}
),

predictions as (
    select * from {{ source('ml', 'clv_predictions') }}
),

clv as (
    select
        summaries.user_key,
        span.today as as_of,
        {{ var('clv')['horizon_days'] }} as horizon_days,
        summaries.frequency,
        summaries.purchase_span_days,
        summaries.age_days,
        predictions.probability_alive,
        predictions.expected_purchases,
        {{ as_money('predictions.expected_order_value') }} as expected_order_value,
        {{ as_money('predictions.clv') }} as clv,
        case
            when predictions.user_key is null then 'not estimated yet'
            else predictions.no_estimate_because
        end as no_estimate_because
    from summaries
    cross join {{ ref('int_data_span') }} as span
    left join predictions
        on
            summaries.user_key = predictions.user_key
            and span.today = predictions.as_of
)

select * from clv
