{# Text values as a quoted, comma-separated list; an empty one matches nothing. #}
{% macro text_list(texts) -%}
    {%- for text in texts -%}
        {{ quoted(text) }}{% if not loop.last %}, {% endif %}
    {%- else -%}
        null
    {%- endfor -%}
{%- endmacro %}


{# One text value as an SQL literal. #}
{% macro quoted(text) -%}
    '{{ text | string | replace("'", "''") }}'
{%- endmacro %}
