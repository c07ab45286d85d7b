-- Why was the last night slow?
with nights as (
    select
        run_id,
        row_number() over (order by started_at desc) as nights_ago
    from ops.runs
    where step is null
)

select
    steps.step,
    steps.part_of,
    round(max(case when nights.nights_ago = 1 then steps.seconds end), 1) as seconds,
    round(median(case when nights.nights_ago > 1 then steps.seconds end), 1) as usual_seconds,
    round(max(case when nights.nights_ago = 1 then steps.cpu_seconds end), 1) as cpu_seconds,
    max(case when nights.nights_ago = 1 then steps.rows end) as row_count,
    round(max(case when nights.nights_ago = 1 then steps.peak_memory_bytes end) / 1e6) as peak_memory_mb
from ops.runs as steps
inner join nights on steps.run_id = nights.run_id
where
    steps.step is not null
    and nights.nights_ago <= 31
group by steps.step, steps.part_of
having max(case when nights.nights_ago = 1 then steps.seconds end) > 0
order by seconds desc, steps.step asc
limit 15
