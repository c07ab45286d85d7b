{# Which fifth of an as-of date's users a value lies in, 1 the lowest. The minimum rank decides, so equal
   values always share a score and the smallest value is always in the first fifth. #}
{% macro quintile(column) -%}
    cast(
        1 + floor(
            5.0 * (rank() over (partition by as_of_date order by {{ column }}) - 1)
            / count(*) over (partition by as_of_date)
        ) as integer
    )
{%- endmacro %}
