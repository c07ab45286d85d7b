{# What a test of a gate does that fails: `gates` in avila.yml says. #}
{% macro gate_severity(gate) -%}
    {{- return('warn' if var('gates')[gate] == 'warn' else 'error') -}}
{%- endmacro %}
