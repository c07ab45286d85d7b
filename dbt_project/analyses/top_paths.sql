-- By which five paths do users most often reach each key event?
select
    key_event,
    path_rank,
    path,
    key_events,
    round(100 * share, 1) as percent,
    users,
    revenue
from paths_to_key_event
where path_rank <= 5
order by key_event, path_rank
