with span as (
    select * from {{ ref('int_data_span') }}
),

days as (
    {{ date_spine('(select first_date from span)', '(select last_date from span)') }}
),

periods as (
    {%- for grain in ['day', 'week', 'month'] %}
    select distinct
        {{ quoted(grain) }} as grain,
        {{ period_start(grain, 'day') }} as period_start,
        {{ add_periods(grain, period_start(grain, 'day'), 1) }} as next_period_start
    from days
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

calendar_periods as (
    select
        periods.grain,
        periods.period_start,
        periods.next_period_start,
        row_number() over (partition by periods.grain order by periods.period_start) as period_index,
        {{ local_timestamp('span.last_event_ts') }} >= cast(periods.next_period_start as timestamp) as is_complete
    from periods
    cross join span
)

select * from calendar_periods
