{{ config(materialized='incremental', unique_key='user_key') }}

{#- What BG/NBD, Pareto/NBD and Gamma-Gamma models are fitted to (Fader, Hardie and Lee, Marketing Science 24, 2005,
    275-284), by calendar days: several key events of one day are one purchase. -#}

with days as (
    select
        user_key,
        activity_date,
        count(*) as key_events,
        sum(revenue) as revenue
    from {{ ref('int_key_events') }}
    group by user_key, activity_date
),

placed as (
    select
        *,
        min(activity_date) over (partition by user_key) as first_purchase_date
    from days
),

measured as (
    select
        user_key,
        first_purchase_date,
        max(activity_date) as last_purchase_date,
        cast(sum(key_events) as bigint) as key_events,
        count(*) as purchase_days,
        count(*) - 1 as frequency,
        {{ days_between('first_purchase_date', 'max(activity_date)') }} as purchase_span_days,
        cast(sum(revenue) as decimal(18, 4)) as revenue,
        cast(sum(revenue) filter (where activity_date != first_purchase_date) as decimal(18, 4)) as repeat_revenue
    from placed
    group by user_key, first_purchase_date
),

purchase_summaries as (
    select
        measured.user_key,
        measured.first_purchase_date,
        measured.last_purchase_date,
        measured.key_events,
        measured.purchase_days,
        measured.frequency,
        measured.purchase_span_days,
        {{ days_between('measured.first_purchase_date', 'span.last_date') }} as age_days,
        measured.revenue,
        measured.repeat_revenue,
        cast(measured.revenue as double) / measured.purchase_days as mean_value,
        cast(measured.repeat_revenue as double) / nullif(measured.frequency, 0) as mean_repeat_value
    from measured
    cross join {{ ref('int_data_span') }} as span
)

select * from purchase_summaries
