-- Users times days are the user-days of the period, however they are cut, and nobody is active on a day but not in the
-- week or the month that ends with it.
{{ config(meta={'dagster': {'ref': {'name': 'stickiness'}}}) }}
with by_period as (
    select
        grain,
        sum(users * active_days) as days
    from {{ ref('stickiness') }}
    group by grain
)

select grain as of_what from by_period
where days != (select count(*) from {{ ref('user_days') }})
union all
select 'rolling' as of_what
from {{ ref('active_users') }}
where dau > wau or wau > mau
union all
select 'day' as of_what
from {{ ref('active_users') }}
having sum(dau) != (select count(*) from {{ ref('user_days') }})
