{# Cohorts by calendar periods, from the relation `user_periods`, as import CTEs' next: `rated` has one row per cohort
   and period from its own to the end of the data, also where nobody was active. It needs `periods`, too.

   Args:
       cohort: the columns beside the grain and the period that tell cohorts apart.
#}
{% macro counted_retention(cohort=[]) -%}
{%- set columns = ['grain'] + cohort + ['cohort_period'] -%}
activity as (
    select
        {{ columns | join(', ') }},
        period_number,
        count(*) as retained_users,
        count(*) filter (where is_last) as last_users,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from user_periods
    group by {{ columns | join(', ') }}, period_number
),

cells as (
    select
        {%- for column in columns %}
        activity.{{ column }},
        {%- endfor %}
        cast(period.period_index - cohort.period_index as integer) as period_number,
        activity.retained_users as cohort_users,
        activity.revenue as cohort_revenue,
        period.is_complete
    from activity
    inner join periods as cohort
        on
            activity.grain = cohort.grain
            and activity.cohort_period = cohort.period_start
    inner join periods as period
        on
            cohort.grain = period.grain
            and cohort.period_index <= period.period_index
    where activity.period_number = 0
),

counted as (
    select
        cells.*,
        coalesce(activity.retained_users, 0) as retained_users,
        cast(coalesce(activity.revenue, 0) as decimal(18, 4)) as revenue,
        cast(sum(coalesce(activity.last_users, 0)) over (
            partition by
                {%- for column in columns %} cells.{{ column }}{% if not loop.last %},{% endif %}{% endfor %}
            order by cells.period_number desc
        ) as bigint) as on_or_after_users
    from cells
    left join activity
        on
            {%- for column in columns %}
            cells.{{ column }} = activity.{{ column }} and
            {%- endfor %}
            cells.period_number = activity.period_number
),

rated as (
    select
        *,
        {{ retention_rates() }},
        case when cohort_revenue > 0 then cast(revenue as double) / cast(cohort_revenue as double) end
            as revenue_retention
    from counted
)
{%- endmacro %}


{# The shares of a cohort that were active in a period, and in it or later. #}
{% macro retention_rates() -%}
    retained_users / cast(cohort_users as double) as retention_rate,
        on_or_after_users / cast(cohort_users as double) as on_or_after_rate
{%- endmacro %}


{# Both counts with their rates and 95 % intervals. #}
{% macro retention_with_intervals() -%}
    cohort_users,
        retained_users,
        retention_rate,
        {{ wilson_bound('retention_rate', 'cohort_users', '-') }} as rate_low,
        {{ wilson_bound('retention_rate', 'cohort_users', '+') }} as rate_high,
        on_or_after_users,
        on_or_after_rate,
        {{ wilson_bound('on_or_after_rate', 'cohort_users', '-') }} as on_or_after_low,
        {{ wilson_bound('on_or_after_rate', 'cohort_users', '+') }} as on_or_after_high,
        revenue
{%- endmacro %}
