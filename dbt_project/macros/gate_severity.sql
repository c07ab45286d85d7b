{# What a test of a gate does that fails: `gates` in avila.yml says. #}
{% macro gate_severity(gate) -%}
    {%- set defaults = {'volume': 'warn'} -%}
    {{- return('warn' if var('gates', {}).get(gate, defaults.get(gate, 'block')) == 'warn' else 'error') -}}
{%- endmacro %}
