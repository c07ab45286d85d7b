-- Rows in = events out + duplicates: what the loads say they brought, what lies in the lake, and what the mart has of
-- it are counted apart, so a file that was lost or read twice shows.
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'events'}}}) }}
with loaded as (
    select coalesce(sum(rows), 0) as events
    from {{ source('ops', 'loads') }}
    where retired_seq is null and parquet_file is not null
),

lake as (
    select
        count(*) as events,
        count(distinct {{ row_hash(['source', 'event_id']) }}) as distinct_events
    from {{ ref('stg_events') }}
),

placed as (
    select count(*) as events
    from {{ ref('events') }}
),

counts as (
    select
        loaded.events as loaded,
        lake.events as in_the_lake,
        lake.events - lake.distinct_events as duplicates,
        placed.events as placed
    from loaded
    cross join lake
    cross join placed
)

select * from counts
where
    loaded != in_the_lake
    or in_the_lake != placed + duplicates
