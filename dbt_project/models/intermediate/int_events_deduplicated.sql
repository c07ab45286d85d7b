{{ config(materialized='view') }}

{#- Only the few ids that occur more than once pay for hashing and ranking. -#}

with events as (
    select * from {{ ref('int_event_copies') }}
),

repeated as (
    select
        source,
        event_id
    from events
    group by source, event_id
    having count(*) > 1
),

once as (
    select events.*
    from events
    left join repeated
        on
            events.source = repeated.source
            and events.event_id = repeated.event_id
    where repeated.event_id is null
),

ranked as (
    select
        events.*,
        row_number() over (
            partition by events.source, events.event_id
            order by
                events.event_ts,
                {{ content_hash('events') }},
                events.dump_file,
                events.dump_row,
                events.load_id
        ) as copy_rank
    from events
    inner join repeated
        on
            events.source = repeated.source
            and events.event_id = repeated.event_id
),

first_copies as (
    select {{ canonical_event_columns() | join(', ') }}
    from ranked
    where copy_rank = 1
),

deduplicated as (
    select * from once
    union all
    select * from first_copies
)

select * from deduplicated
