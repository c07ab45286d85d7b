{#- Every Monday of the history, and the midnight the data ends before: "now". Scores are for everyone there is now; to
    learn from, of a large shop's past some users are enough. The share is a power of two, so that growth leaves users
    out but never exchanges them. -#}

{%- set eligible_days = longest_eligibility() %}

with span as (
    select * from {{ ref('int_data_span') }}
),

active_days as (
    select
        periods.period as day,
        coalesce(periods.next_period, span.today) as next_day
    from {{ ref('int_user_active_periods') }} as periods
    cross join span
    where periods.grain = 'day'
),

eligible as (
    select
        sum(least({{ days_between('day', 'next_day') }}, {{ eligible_days }})) / cast(7 as double) as snapshots
    from active_days
),

days as (
    {{ date_spine(add_days('(select first_date from span)', 1), '(select today from span)') }}
),

cutoffs as (
    select
        days.day as as_of,
        days.day = span.today as is_now,
        {%- for label in ['churn', 'conversion'] %}
        {%- set horizon_ends = add_days('days.day', var(label)['horizon_days']) %}
        {{ local_timestamp('span.last_event_ts') }} >= cast({{ horizon_ends }} as timestamp) as {{ label }}_is_known,
        {%- endfor %}
        case
            when days.day = span.today or eligible.snapshots <= {{ var('training')['snapshots'] }} then 1
            else cast(power(2, ceil(log2(eligible.snapshots / {{ var('training')['snapshots'] }}))) as integer)
        end as one_user_in
    from days
    cross join span
    cross join eligible
    where days.day = span.today or {{ isodow('days.day') }} = 1
)

select * from cutoffs
