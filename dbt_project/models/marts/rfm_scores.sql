{{ config(
    materialized='incremental',
    unique_key=['as_of_date', 'user_key'],
    meta={
        'region': 'users',
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
        measures.as_of_date,
        measures.user_key,
        measures.recency_days,
        measures.frequency,
        measures.monetary,
        6 - recency_fifths.fifth as r_score,
        frequency_fifths.fifth as f_score,
        monetary_fifths.fifth as m_score
    from measures
    {%- for measure in ['recency_days', 'frequency', 'monetary'] %}
    {%- set fifths = measure.removesuffix('_days') ~ '_fifths' %}
    inner join {{ fifths }}
        on
            measures.as_of_date = {{ fifths }}.as_of_date
            and measures.{{ measure }} is not distinct from {{ fifths }}.{{ measure }}
    {%- endfor %}
    where
        measures.r_score is null
        or measures.r_score != 6 - recency_fifths.fifth
        or measures.f_score != frequency_fifths.fifth
        or measures.m_score != monetary_fifths.fifth
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
