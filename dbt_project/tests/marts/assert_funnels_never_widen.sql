-- Whoever reached a step reached those before that may not be skipped, and
-- whoever stands at it either went on, may go on or dropped out.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_steps'}}}) }}
with steps as (
    select
        funnel_steps.*,
        coalesce(
            lead(funnel_steps.users) over (
                partition by
                    funnel_steps.funnel,
                    funnel_steps.entry_grain,
                    funnel_steps.entry_period,
                    funnel_steps.breakdown
                order by funnel_steps.step_number
            ),
            funnel_steps.users
        ) as next_users
    from {{ ref('funnel_steps') }} as funnel_steps
    inner join {{ ref('int_funnels_declared') }} as declared
        on
            funnel_steps.funnel = declared.funnel
            and funnel_steps.step_number = declared.step_number
    where not declared.is_optional
)

select * from steps
where users < next_users or users - next_users != in_progress + dropped
