{{ config(materialized='ephemeral') }}

{#- As of a date before all changed purchases, everything stands. Of later ones, what was measured of a user without a
    change does, and is looked at again beside its scores: scores are of all users. -#}

{%- set stored_scores = stored('rfm_scores') %}

with as_of_dates as (
    select
        *,
        {%- if stored_scores %}
        as_of_date not in (select distinct as_of_date from {{ stored_scores }}) as is_new,
        {%- else %}
        true as is_new,
        {%- endif %}
        {{ in_region('purchases', 'dates', 'as_of_date', anew=not stored_scores) }} as is_touched
    from {{ ref('int_rfm_dates') }} as dates
),

purchases as (
    select
        *,
        case when key_events > 0 then activity_date end as key_event_date,
        {{ in_region('users', 'days', anew=not stored_scores) }} as is_touched
    from {{ ref('user_days') }} as days
    where key_events > 0 or revenue != 0
),

measured as (
    select
        as_of_dates.as_of_date,
        purchases.user_key,
        {{ days_between('max(purchases.key_event_date)', 'as_of_dates.as_of_date') }} as recency_days,
        cast(sum(purchases.key_events) as bigint) as frequency,
        cast(sum(purchases.revenue) as decimal(18, 4)) as monetary,
        cast(null as integer) as r_score_before,
        cast(null as integer) as f_score_before,
        cast(null as integer) as m_score_before
    from as_of_dates
    inner join purchases
        on
            as_of_dates.as_of_date >= purchases.activity_date
            and as_of_dates.looks_back_to < purchases.activity_date
            and (as_of_dates.is_new or (as_of_dates.is_touched and purchases.is_touched))
    group by as_of_dates.as_of_date, purchases.user_key
    having sum(purchases.key_events) > 0
),

measures as (
    select * from measured
    {%- if stored_scores %}
    union all
    select
        as_of_date,
        user_key,
        recency_days,
        frequency,
        monetary,
        r_score as r_score_before,
        f_score as f_score_before,
        m_score as m_score_before
    from {{ stored_scores }} as scores
    where
        {{ in_region('purchases', 'scores', 'as_of_date', anew=false) }}
        and not {{ in_region('users', 'scores', anew=false) }}
        and as_of_date in (select as_of_dates.as_of_date from as_of_dates)
    {%- endif %}
)

select * from measures
