{#- Nothing where the events are built anew: then all are read. -#}

with came as (
    select * from {{ lake_events(came_since() if stored('int_events_identified') else 'false') }}
),

went as (
    select * from {{ lake_events(went_since() if stored('int_events_identified') else 'false') }}
),

changed as (
    select
        *,
        true as is_live
    from came
    union all
    select
        *,
        false as is_live
    from went
)

select * from changed
