-- Which channels do the key events of the last 28 days go back to, by each way to deal out the credit?
select
    key_event,
    channel,
    round(sum(key_events) filter (where model = 'first'), 1) as first,
    round(sum(key_events) filter (where model = 'last_non_direct'), 1) as last_non_direct,
    round(sum(key_events) filter (where model = 'linear'), 1) as linear,
    round(sum(key_events) filter (where model = 'position_based'), 1) as position_based,
    sum(revenue) filter (where model = 'last_non_direct') as revenue
from attribution
where activity_date > (select max(activity_date) - 28 from active_users)
group by key_event, channel
order by key_event, last_non_direct desc
