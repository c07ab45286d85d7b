-- Whoever reached a step reached the one before, and whoever stands at it
-- either went on, may go on or dropped out.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_steps'}}}) }}
with steps as (
    select
        *,
        coalesce(
            lead(users) over (
                partition by funnel, entry_grain, entry_period, breakdown
                order by step_number
            ),
            users
        ) as next_users
    from {{ ref('funnel_steps') }}
)

select * from steps
where users < next_users or users - next_users != in_progress + dropped
