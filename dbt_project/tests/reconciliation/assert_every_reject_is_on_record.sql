-- Rows in = events + filtered + rejected: each load's count of rejects is that of the rows kept for people to look at.
-- depends_on: {{ ref('events') }}, or no night that builds models would run it
{{ config(severity=gate_severity('reconciliation'), meta={'dagster': {'ref': {'name': 'events'}}}) }}
with counted as (
    select
        load_id,
        rejected
    from {{ source('ops', 'loads') }}
    where status = 'live' and rejected > 0
),

kept as (
    select
        load_id,
        count(*) as rejected
    from {{ source('ops', 'rejects') }}
    group by load_id
)

select
    counted.load_id,
    counted.rejected as counted_rejects,
    kept.rejected as kept_rejects
from counted
full outer join kept on counted.load_id = kept.load_id
where counted.rejected is distinct from kept.rejected
