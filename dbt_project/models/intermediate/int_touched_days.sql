-- depends_on: {{ ref('int_events_identified') }}

with changes as (
    select * from {{ record('increments', 'event_changes') }}
    where change_seq > {{ applied_seq() }}
),

touched_days as (
    select distinct
        user_key,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date
    from changes
)

select * from touched_days
