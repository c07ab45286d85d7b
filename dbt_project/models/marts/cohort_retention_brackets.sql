{{ config(materialized='incremental', unique_key=['grain', 'cohort_period', 'bracket']) }}

with members as (
    select
        calendar.grain,
        calendar.period_start as cohort_period,
        calendar.next_period_start,
        anchors.user_key
    from {{ ref('int_user_anchors') }} as anchors
    inner join {{ ref('int_calendar_days') }} as calendar on anchors.anchor_date = calendar.day
    where calendar.grain in ({{ text_list(var('cohorts')['grains']) }})
),

cohorts as (
    select
        grain,
        cohort_period,
        next_period_start,
        count(*) as cohort_users
    from members
    group by grain, cohort_period, next_period_start
),

reached as (
    select
        members.grain,
        members.cohort_period,
        brackets.bracket,
        count(*) filter (where brackets.is_retained) as retained_users,
        count(*) as on_or_after_users,
        sum(brackets.revenue) as revenue
    from members
    inner join {{ ref('int_user_brackets') }} as brackets on members.user_key = brackets.user_key
    group by members.grain, members.cohort_period, brackets.bracket
),

cells as (
    select
        cohorts.*,
        brackets.bracket,
        brackets.first_day,
        brackets.last_day,
        {{ local_timestamp('span.last_event_ts') }}
        >= cast({{ add_days('cohorts.next_period_start', 'brackets.last_day') }} as timestamp) as is_complete
    from cohorts
    cross join {{ ref('int_brackets_declared') }} as brackets
    cross join {{ ref('int_data_span') }} as span
    where {{ add_days('cohorts.cohort_period', 'brackets.first_day') }} <= span.last_date
),

counted as (
    select
        cells.*,
        coalesce(reached.retained_users, 0) as retained_users,
        coalesce(reached.on_or_after_users, 0) as on_or_after_users,
        cast(coalesce(reached.revenue, 0) as decimal(18, 4)) as revenue
    from cells
    left join reached
        on
            cells.grain = reached.grain
            and cells.cohort_period = reached.cohort_period
            and cells.bracket = reached.bracket
),

rated as (
    select
        *,
        {{ retention_rates() }}
    from counted
),

cohort_retention_brackets as (
    select
        grain,
        cohort_period,
        bracket,
        first_day,
        last_day,
        {{ retention_with_intervals() }},
        is_complete
    from rated
)

select * from cohort_retention_brackets
