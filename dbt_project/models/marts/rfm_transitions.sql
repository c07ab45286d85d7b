{{ config(
    materialized='incremental',
    unique_key=['as_of_date', 'from_segment', 'to_segment'],
    meta={
        'region': 'purchases',
        'moment': 'as_of_date',
        'or_where': 'as_of_date not in (select as_of_date from intermediate.int_rfm_dates)',
    },
) }}

with dates as (
    select
        as_of_date,
        lag(as_of_date) over (order by as_of_date) as previous_date
    from {{ ref('int_rfm_dates') }}
),

touched_dates as (
    select * from dates
    where {{ in_region('purchases', 'dates', 'as_of_date') }} {{ or_not_stored('as_of_date') }}
),

arrivals as (
    select
        touched_dates.as_of_date,
        scores.user_key,
        scores.segment
    from {{ ref('rfm_scores') }} as scores
    inner join touched_dates on scores.as_of_date = touched_dates.as_of_date
),

departures as (
    select
        touched_dates.as_of_date,
        scores.user_key,
        scores.segment
    from {{ ref('rfm_scores') }} as scores
    inner join touched_dates on scores.as_of_date = touched_dates.previous_date
),

moves as (
    select
        coalesce(arrivals.as_of_date, departures.as_of_date) as as_of_date,
        coalesce(departures.segment, 'none') as from_segment,
        coalesce(arrivals.segment, 'none') as to_segment
    from departures
    full outer join arrivals
        on
            departures.as_of_date = arrivals.as_of_date
            and departures.user_key = arrivals.user_key
),

counted as (
    select
        as_of_date,
        from_segment,
        to_segment,
        count(*) as users
    from moves
    group by as_of_date, from_segment, to_segment
),

rfm_transitions as (
    select
        as_of_date,
        {{ add_days(period_start('month', 'as_of_date'), -1) }} as previous_date,
        extract(day from {{ add_days('as_of_date', 1) }}) = 1 as is_month_end,
        from_segment,
        to_segment,
        users,
        users / cast(sum(users) over (partition by as_of_date, from_segment) as double) as share
    from counted
)

select * from rfm_transitions
