{{ config(
    materialized='incremental',
    unique_key=['as_of_date', 'user_key'],
    meta={
        'region': 'purchases',
        'moment': 'as_of_date',
        'or_where': 'as_of_date not in (select as_of_date from intermediate.int_rfm_dates)',
    },
) }}

with as_of_dates as (
    select * from {{ ref('int_rfm_dates') }} as dates
    where {{ in_region('purchases', 'dates', 'as_of_date') }} {{ or_not_stored('as_of_date') }}
),

purchases as (
    select
        *,
        case when key_events > 0 then activity_date end as key_event_date
    from {{ ref('user_days') }}
    where key_events > 0 or revenue != 0
),

measured as (
    select
        as_of_dates.as_of_date,
        purchases.user_key,
        {{ days_between('max(purchases.key_event_date)', 'as_of_dates.as_of_date') }} as recency_days,
        cast(sum(purchases.key_events) as bigint) as frequency,
        cast(sum(purchases.revenue) as decimal(18, 4)) as monetary
    from as_of_dates
    inner join purchases
        on
            as_of_dates.as_of_date >= purchases.activity_date
            and as_of_dates.looks_back_to < purchases.activity_date
    group by as_of_dates.as_of_date, purchases.user_key
    having sum(purchases.key_events) > 0
),

scored as (
    select
        *,
        6 - {{ quintile('recency_days') }} as r_score,
        {{ quintile('frequency') }} as f_score,
        {{ quintile('monetary') }} as m_score
    from measured
),

rfm_scores as (
    select
        as_of_date,
        user_key,
        recency_days,
        frequency,
        monetary,
        r_score,
        f_score,
        m_score,
        case
            when r_score = 5 and f_score >= 4 then 'champions'
            when r_score >= 3 and f_score >= 4 then 'loyal'
            when r_score >= 4 and f_score >= 2 then 'potential_loyalist'
            when r_score = 5 then 'new'
            when r_score = 4 then 'promising'
            when r_score = 3 and f_score = 3 then 'need_attention'
            when r_score = 3 then 'about_to_sleep'
            when f_score = 5 then 'cant_lose'
            when f_score >= 3 then 'at_risk'
            when f_score = 2 or r_score = 2 then 'hibernating'
            else 'lost'
        end as segment
    from scored
)

select * from rfm_scores
