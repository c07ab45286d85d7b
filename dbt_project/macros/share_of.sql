{# What the n-th of so many gets of a whole number, all alike but for rounding: together they get it exactly. #}
{% macro share_of(whole, place, places) -%}
    cast(
        floor({{ whole }} * ({{ place }}) / cast({{ places }} as double))
        - floor({{ whole }} * ({{ place }} - 1) / cast({{ places }} as double)) as integer
    )
{%- endmacro %}
