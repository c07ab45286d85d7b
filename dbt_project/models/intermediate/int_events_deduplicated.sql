{{ config(materialized='view') }}

with duplicates as (
    select * from {{ ref('int_event_duplicates') }}
),

deduplicated as (
    select copies.*
    from {{ ref('int_event_copies') }} as copies
    left join duplicates
        on
            copies.load_id = duplicates.load_id
            and copies.dump_row = duplicates.dump_row
    where duplicates.load_id is null
)

select * from deduplicated
