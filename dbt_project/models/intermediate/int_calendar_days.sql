with span as (
    select * from {{ ref('int_data_span') }}
),

days as (
    {{ date_spine('(select first_date from span)', '(select last_date from span)') }}
),

placed as (
    {%- for grain in ['day', 'week', 'month'] %}
    select
        {{ quoted(grain) }} as grain,
        day,
        {{ period_start(grain, 'day') }} as period_start,
        {{ add_periods(grain, period_start(grain, 'day'), 1) }} as next_period_start
    from days
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

calendar_days as (
    select
        placed.*,
        dense_rank() over (partition by placed.grain order by placed.period_start) as period_index,
        {{ local_timestamp('span.last_event_ts') }} >= cast(placed.next_period_start as timestamp) as is_complete
    from placed
    cross join span
)

select * from calendar_days
