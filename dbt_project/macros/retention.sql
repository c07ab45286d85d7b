{# Cohorts by calendar periods, from the relation `cohort_activity`, as import CTEs' next: `rated` has one row per
   cohort and period from its own to the end of the data, also where nobody was active. It needs `periods`, too.

   Args:
       cohort: the columns beside the grain and the period that tell cohorts apart.
#}
{% macro counted_retention(cohort=[]) -%}
{%- set columns = ['grain'] + cohort + ['cohort_period'] -%}
activity as (
    select
        {{ columns | join(', ') }},
        period_number,
        cast(sum(retained_users) as bigint) as retained_users,
        sum(last_users) as last_users,
        cast(sum(revenue) as decimal(18, 4)) as revenue
    from cohort_activity
    group by {{ columns | join(', ') }}, period_number
),

cohorts as (
    select
        {{ columns | join(', ') }},
        retained_users as cohort_users,
        revenue as cohort_revenue,
        {#- There are as many cells as days, squared: they are joined and sorted by one number in place of texts. #}
        row_number() over (order by {{ columns | join(', ') }}) as cohort_number
    from activity
    where period_number = 0
),

active as (
    select
        cohorts.cohort_number,
        activity.period_number,
        activity.retained_users,
        activity.last_users,
        activity.revenue
    from activity
    inner join cohorts
        on
            {%- for column in columns %}
            activity.{{ column }} = cohorts.{{ column }}{% if not loop.last %} and{% endif %}
            {%- endfor %}
),

cells as (
    select
        cohorts.cohort_number,
        cast(period.period_index - own.period_index as integer) as period_number,
        period.is_complete
    from cohorts
    inner join periods as own
        on
            cohorts.grain = own.grain
            and cohorts.cohort_period = own.period_start
    inner join periods as period
        on
            own.grain = period.grain
            and own.period_index <= period.period_index
),

counted as (
    select
        cells.*,
        coalesce(active.retained_users, 0) as retained_users,
        cast(coalesce(active.revenue, 0) as decimal(18, 4)) as revenue,
        cast(sum(coalesce(active.last_users, 0)) over (
            partition by cells.cohort_number
            order by cells.period_number desc
        ) as bigint) as on_or_after_users
    from cells
    left join active
        on
            cells.cohort_number = active.cohort_number
            and cells.period_number = active.period_number
),

rated as (
    select
        counted.*,
        {%- for column in columns %}
        cohorts.{{ column }},
        {%- endfor %}
        cohorts.cohort_users,
        {{ retention_rates() }},
        case
            when cohorts.cohort_revenue > 0
                then cast(counted.revenue as double) / cast(cohorts.cohort_revenue as double)
        end as revenue_retention
    from counted
    inner join cohorts on counted.cohort_number = cohorts.cohort_number
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
