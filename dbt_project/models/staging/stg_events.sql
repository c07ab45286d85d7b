with events as (
    select * from {{ lake_events() }}
)

select * from events
