-- A key event has one path to it, one from it and one of channels, and every one of them is counted once.
{{ config(meta={'dagster': {'ref': {'name': 'conversion_paths'}}}) }}
with counts as (
    select coalesce(sum(sessions.key_events), 0) as key_events from {{ ref('sessions') }} as sessions
),

paths as (
    {%- for name in ['paths_to_key_event', 'paths_from_key_event', 'conversion_paths'] %}
    select
        {{ quoted(name) }} as name,
        coalesce(sum(paths.key_events), 0) as key_events
    from {{ ref(name) }} as paths
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select paths.*
from paths
cross join counts
where paths.key_events != counts.key_events
