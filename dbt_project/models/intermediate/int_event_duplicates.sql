{#- Only the few ids that may occur more than once pay for ranking. The copies are read twice: to keep them all at hand
    for that would cost more. -#}

{%- set event_hash = row_hash(['copies.source', 'copies.event_id']) %}

with repeats as (
    select {{ event_hash }} as event_hash
    from {{ ref('int_event_copies') }} as copies
    group by {{ event_hash }}
    having count(*) > 1
),

ranked as (
    select
        copies.load_id,
        copies.dump_row,
        row_number() over (
            partition by copies.source, copies.event_id
            order by
                copies.event_ts,
                {{ content_hash('copies') }},
                copies.dump_file,
                copies.dump_row,
                copies.load_id
        ) as copy_rank
    from {{ ref('int_event_copies') }} as copies
    where {{ event_hash }} in (select repeats.event_hash from repeats)
),

duplicates as (
    select
        load_id,
        dump_row
    from ranked
    where copy_rank > 1
)

select * from duplicates
