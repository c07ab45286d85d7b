{#- Every Monday of the history, and the midnight the data ends before: "now". -#}

with span as (
    select * from {{ ref('int_data_span') }}
),

days as (
    {{ date_spine(add_days('(select first_date from span)', 1), '(select today from span)') }}
),

cutoffs as (
    select
        days.day as as_of,
        days.day = span.today as is_now,
        cast(span.last_event_ts as timestamp) as last_event_ts
    from days
    cross join span
    where days.day = span.today or {{ isodow('days.day') }} = 1
)

select * from cutoffs
