-- How was the last full day, against the same weekday a week before?
with days as (
    select max(activity_date) as day from active_users where is_complete
)

select
    user_days.activity_date as day,
    count(*) as users,
    sum(user_days.sessions) as sessions,
    sum(user_days.events) as events,
    sum(user_days.key_events) as key_events,
    sum(user_days.revenue) as revenue
from user_days
inner join days on user_days.activity_date in (days.day, days.day - 7)
group by user_days.activity_date
order by day desc
