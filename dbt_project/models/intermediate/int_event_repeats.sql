with event_copies as (
    select * from {{ ref('int_event_copies') }}
),

hashed as (
    select {{ row_hash(['source', 'event_id']) }} as event_hash
    from event_copies
),

event_repeats as (
    select event_hash
    from hashed
    group by event_hash
    having count(*) > 1
)

select * from event_repeats
