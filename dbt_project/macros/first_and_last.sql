{# The first value of a group that is known, in a stated order. #}
{% macro first_known(column, in_order) -%}
    min_by({{ column }}, {{ in_order }}) filter (where {{ column }} is not null)
{%- endmacro %}


{# The last value of a group that is known, in a stated order. #}
{% macro last_known(column, in_order) -%}
    max_by({{ column }}, {{ in_order }}) filter (where {{ column }} is not null)
{%- endmacro %}


{# One field of the first row that names any campaign, so that source, medium and campaign stay together. #}
{% macro first_campaign(column, in_order) -%}
    nullif(
        min_by(coalesce({{ column }}, ''), {{ in_order }})
            filter (where coalesce(utm_source, utm_medium, utm_campaign) is not null),
        ''
    )
{%- endmacro %}
