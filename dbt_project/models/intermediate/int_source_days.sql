{#- What is usual is the median of the same weekday over the eight weeks before: shops close on Sundays, offices on
    both days of the weekend, and both grow. -#}

with events as (
    select
        source,
        activity_date as day
    from {{ ref('int_events_identified') }}
),

calendar as (
    select
        day,
        {{ isodow('day') }} as weekday
    from {{ ref('int_calendar_days') }}
    where grain = 'day'
),

active_days as (
    select
        source,
        day,
        count(*) as events
    from events
    group by source, day
),

spans as (
    select
        source,
        min(day) as first_day
    from active_days
    group by source
),

days as (
    select
        spans.source,
        calendar.day,
        calendar.weekday,
        coalesce(active_days.events, 0) as events
    from spans
    inner join calendar on spans.first_day <= calendar.day
    left join active_days
        on
            spans.source = active_days.source
            and calendar.day = active_days.day
),

source_days as (
    select
        days.source,
        days.day,
        days.events,
        count(earlier.day) as weeks_known,
        {{ median('earlier.events') }} as usual_events
    from days
    left join days as earlier
        on
            days.source = earlier.source
            and days.weekday = earlier.weekday
            and days.day > earlier.day
            and {{ add_days('days.day', -56) }} <= earlier.day
    group by days.source, days.day, days.events
)

select * from source_days
