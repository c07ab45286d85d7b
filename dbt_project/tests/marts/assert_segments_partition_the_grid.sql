-- Who scores alike for recency and frequency is in one segment, whatever the date.
{{ config(meta={'dagster': {'ref': {'name': 'rfm_scores'}}}) }}
select
    r_score,
    f_score,
    count(distinct segment) as segments
from {{ ref('rfm_scores') }}
group by r_score, f_score
having count(distinct segment) != 1 or count(segment) != count(*)
