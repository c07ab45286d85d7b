{# The session timeout in whole seconds. #}
{% macro session_timeout_seconds() -%}
    {{ return((var('sessions')['timeout_minutes'] * 60) | round | int) }}
{%- endmacro %}
