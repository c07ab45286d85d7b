{{ config(materialized='incremental', unique_key=['grain', 'period', 'state']) }}

with active as (
    select * from {{ ref('int_user_active_periods') }}
),

periods as (
    select * from {{ ref('int_calendar_periods') }}
),

counted as (
    select
        grain,
        period,
        state,
        count(*) as users
    from active
    group by grain, period, state
    union all
    select
        active.grain,
        periods.next_period_start as period,
        'dormant' as state,
        count(*) as users
    from active
    inner join periods
        on
            active.grain = periods.grain
            and active.period = periods.period_start
    where not active.is_followed
    group by active.grain, periods.next_period_start
),

cells as (
    {%- for state in ['new', 'returning', 'resurrecting', 'dormant'] %}
    select
        grain,
        period_start as period,
        {{ quoted(state) }} as state,
        is_complete
    from periods
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

lifecycle as (
    select
        cells.grain,
        cells.period,
        cells.state,
        coalesce(counted.users, 0) as users,
        cells.is_complete
    from cells
    left join counted
        on
            cells.grain = counted.grain
            and cells.period = counted.period
            and cells.state = counted.state
)

select * from lifecycle
