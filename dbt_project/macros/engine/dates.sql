{# A UTC timestamp on the wall clock of the reporting time zone. #}
{% macro local_timestamp(utc_timestamp) -%}
    {{ return(adapter.dispatch('local_timestamp')(utc_timestamp)) }}
{%- endmacro %}

{% macro default__local_timestamp(utc_timestamp) -%}
    {%- if var('reporting_timezone') == 'UTC' -%}
        {{ utc_timestamp }}
    {%- else -%}
        timezone('{{ var("reporting_timezone") }}', make_timestamptz(epoch_us({{ utc_timestamp }})))
    {%- endif -%}
{%- endmacro %}


{# Whole days from one date to another. #}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
    date_diff('day', {{ earlier }}, {{ later }})
{%- endmacro %}


{# Seconds, with fraction, from one timestamp to another. #}
{% macro seconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('seconds_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }})) / cast(1000000 as double)
{%- endmacro %}


{# Microseconds from 1970-01-01 to a timestamp, both UTC. #}
{% macro microseconds(ts) -%}
    {{ return(adapter.dispatch('microseconds')(ts)) }}
{%- endmacro %}

{% macro default__microseconds(ts) -%}
    epoch_us({{ ts }})
{%- endmacro %}


{# A date moved by a whole number of days. #}
{% macro add_days(day, number) -%}
    {{ return(adapter.dispatch('add_days')(day, number)) }}
{%- endmacro %}

{% macro default__add_days(day, number) -%}
    ({{ day }} + cast({{ number }} as integer))
{%- endmacro %}


{# A timestamp moved by a number of seconds, which may be an expression. #}
{% macro add_seconds(ts, number) -%}
    {{ return(adapter.dispatch('add_seconds')(ts, number)) }}
{%- endmacro %}

{% macro default__add_seconds(ts, number) -%}
    ({{ ts }} + to_seconds({{ number }}))
{%- endmacro %}


{# The first day of the calendar day, ISO week or month a date lies in. #}
{% macro period_start(grain, day) -%}
    cast(date_trunc('{{ grain }}', {{ day }}) as date)
{%- endmacro %}


{# A period's first day moved by a number of periods, which may be an expression. #}
{% macro add_periods(grain, day, number) -%}
    {{ return(adapter.dispatch('add_periods')(grain, day, number)) }}
{%- endmacro %}

{% macro default__add_periods(grain, day, number) -%}
    cast({{ day }} + to_{{ grain }}s(cast({{ number }} as integer)) as date)
{%- endmacro %}


{# A table function: one row per date, column `day`, both ends included. #}
{% macro date_spine(first_day, last_day) -%}
    {{ return(adapter.dispatch('date_spine')(first_day, last_day)) }}
{%- endmacro %}

{% macro default__date_spine(first_day, last_day) -%}
    select cast(unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as date) as day
{%- endmacro %}


{# Which timeout-wide slice of the clock a timestamp falls in, counted from 1970-01-01 UTC. #}
{% macro clock_slice(ts, width_seconds) -%}
    {{ return(adapter.dispatch('clock_slice')(ts, width_seconds)) }}
{%- endmacro %}

{% macro default__clock_slice(ts, width_seconds) -%}
    {#- DuckDB cuts what is below zero towards it, which would make the slice there twice as long. -#}
    {%- set width = '(cast(' ~ width_seconds ~ ' as bigint) * 1000000)' -%}
    (epoch_us({{ ts }}) - case when epoch_us({{ ts }}) < 0 then {{ width }} - 1 else 0 end) // {{ width }}
{%- endmacro %}


{# Monday 1 … Sunday 7. #}
{% macro isodow(day) -%}
    {{ return(adapter.dispatch('isodow')(day)) }}
{%- endmacro %}

{% macro default__isodow(day) -%}
    extract(isodow from {{ day }})
{%- endmacro %}
