-- Whoever has a segment came to it from somewhere: the users that arrive on a date are those who are scored then.
{{ config(meta={'dagster': {'ref': {'name': 'rfm_transitions'}}}) }}
with arrivals as (
    select
        as_of_date,
        to_segment as segment,
        sum(users) as users
    from {{ ref('rfm_transitions') }}
    where to_segment != 'none'
    group by as_of_date, to_segment
),

scored as (
    select
        as_of_date,
        segment,
        count(*) as users
    from {{ ref('rfm_scores') }}
    group by as_of_date, segment
)

select
    coalesce(arrivals.as_of_date, scored.as_of_date) as as_of_date,
    coalesce(arrivals.segment, scored.segment) as segment,
    arrivals.users as arrived,
    scored.users as scored
from arrivals
full outer join scored
    on
        arrivals.as_of_date = scored.as_of_date
        and arrivals.segment = scored.segment
where arrivals.users is distinct from scored.users
