{{ config(materialized='ephemeral') }}

{#- Of events at one moment some may turn out to be another's; until then the visit is in two rows, and one with a
    channel goes before Direct. -#}

{%- set told_first = sort_key(['first_event_ts', "case when channel = 'Direct' then 1 else 0 end", 'channel']) %}

with origins as (
    select
        user_key,
        as_of,
        min_by(channel, {{ told_first }}) as first_channel
    from ({{ known_at_cutoffs('int_user_origins_known') }}) as known
    group by user_key, as_of
)

select * from origins
