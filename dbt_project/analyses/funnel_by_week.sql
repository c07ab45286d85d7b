-- How does each funnel convert, by the week of its first step?
select
    funnel,
    entry_period as week,
    max(users) as entered,
    arg_max(users, step_number) as converted,
    round(100 * arg_max(from_start, step_number), 1) as percent,
    sum(in_progress) as still_open
from funnel_steps
where entry_grain = 'week' and breakdown = 'all'
group by funnel, entry_period
order by funnel, week
