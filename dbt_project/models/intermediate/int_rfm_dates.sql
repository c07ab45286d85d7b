{#- The last day of each finished month, and the last day of the data. -#}

{%- set lookback_days = var('rfm')['lookback_days'] %}

with span as (
    select * from {{ ref('int_data_span') }}
),

days as (
    {{ date_spine('(select first_date from span)', '(select last_date from span)') }}
),

rfm_dates as (
    select
        days.day as as_of_date,
        {% if lookback_days -%}
        {{ add_days('days.day', -lookback_days) }}
        {%- else -%}
        {{ add_days('span.first_date', -1) }}
        {%- endif %} as looks_back_to
    from days
    cross join span
    where
        days.day = span.last_date
        or extract(day from {{ add_days('days.day', 1) }}) = 1
)

select * from rfm_dates
