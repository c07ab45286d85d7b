{{ config(
    materialized='incremental',
    unique_key=['as_of_date', 'user_key'],
    meta={
        'region': 'scores',
        'moment': 'as_of_date',
        'or_where': 'as_of_date not in (select as_of_date from intermediate.int_rfm_dates)',
        'or_named': true,
    },
) }}

{#- A change of one user moves others from fifth to fifth, but few of them. -#}

with measures as (
    select * from {{ ref('int_rfm_measures') }}
),

recency_fifths as ({{ fifths('recency_days') }}),

frequency_fifths as ({{ fifths('frequency') }}),

monetary_fifths as ({{ fifths('monetary') }}),

scored as (
    select
        measures.*,
        6 - ({{ fifth_of('measures.recency_days', 'recency_fifths') }}) as r_score,
        {{ fifth_of('measures.frequency', 'frequency_fifths') }} as f_score,
        {{ fifth_of('measures.monetary', 'monetary_fifths') }} as m_score
    from measures
    inner join recency_fifths on measures.as_of_date = recency_fifths.as_of_date
    inner join frequency_fifths on measures.as_of_date = frequency_fifths.as_of_date
    inner join monetary_fifths on measures.as_of_date = monetary_fifths.as_of_date
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
    where
        r_score_before is null
        or r_score != r_score_before
        or f_score != f_score_before
        or m_score != m_score_before
)

select * from rfm_scores
