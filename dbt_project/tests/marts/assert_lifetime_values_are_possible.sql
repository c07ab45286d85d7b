-- A value is what expected purchases bring, less a discount; whoever has none is told why.
{{ config(meta={'dagster': {'ref': {'name': 'clv'}}}) }}

select
    user_key,
    probability_alive,
    expected_purchases,
    expected_order_value,
    clv,
    no_estimate_because
from {{ ref('clv') }}
where
    (clv is null) != (no_estimate_because is not null)
    or probability_alive is null and expected_purchases is not null
    or probability_alive not between 0 and 1
    or expected_purchases < 0
    or expected_order_value < 0
    or clv < 0
    or cast(clv as double) > expected_purchases * (cast(expected_order_value as double) + 0.0001) + 0.0001
