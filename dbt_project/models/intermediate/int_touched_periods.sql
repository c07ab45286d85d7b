{#- An entry changes with what comes within the window after it, and with the end of the data: until the window is over,
    it may go on. -#}
{%- set window_days = (longest_funnel_window() / 86400) | round(0, 'ceil') | int %}
{%- set stored_steps = stored('funnel_steps') %}

with changed_days as (
    select
        activity_date,
        {{ add_days('activity_date', -window_days - 1) }} as first_day,
        {{ add_days('activity_date', 1) }} as last_day
    from {{ ref('int_touched_days') }}
    group by activity_date
),

unsettled_days as (
    select
        {{ add_days('last_date', -window_days - 1) }} as first_day,
        last_date as last_day
    from {{ ref('int_data_span') }}
),

spans as (
    select
        first_day,
        last_day
    from changed_days
    union all
    select * from unsettled_days
),

days as (
    {{ date_spine('(select min(first_day) from spans)', '(select max(last_day) from spans)') }}
),

touched as (
    select days.day
    from days
    where
        exists (
            select 1 from spans
            where days.day between spans.first_day and spans.last_day
        )
),

touched_periods as (
    {%- for grain in ['day', 'week', 'month'] %}
    select
        {{ quoted(grain) }} as entry_grain,
        {{ period_start(grain, 'day') }} as entry_period
    from touched
    union
    {%- endfor %}
    {%- if stored_steps %}
    select
        entry_grain,
        entry_period
    from {{ stored_steps }}
    where in_progress > 0
    union
    {%- endif %}
    select
        'all' as entry_grain,
        cast(null as date) as entry_period
)

select * from touched_periods
