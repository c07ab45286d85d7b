{# Between `as` and the bracket of a common table expression: worked out where it is named, as it is too large to keep. #}
{% macro not_kept() -%}
    {{ return(adapter.dispatch('not_kept')()) }}
{%- endmacro %}

{% macro default__not_kept() -%}
    not materialized
{%- endmacro %}
