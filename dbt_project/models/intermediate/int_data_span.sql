{#- "Now" is the end of the data, never the clock: the same dumps always give the same marts. -#}

with activity as (
    select * from {{ ref('int_user_activity') }}
),

span as (
    select
        min(first_event_ts) as first_event_ts,
        max(last_event_ts) as last_event_ts,
        min(activity_date) as first_date,
        max(activity_date) as last_date,
        {{ add_days('max(activity_date)', 1) }} as today
    from activity
    having count(*) > 0
)

select * from span
