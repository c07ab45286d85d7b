{# How far into a declared funnel an event lies, in no order: its step's number as a share of the funnel's steps, of the
   step and the funnel where that is most; 0 where it is none. #}
{% macro funnel_reach() -%}
    greatest(
        cast(0 as double)
        {%- for funnel in var('funnels') %}
        {%- for step in funnel['steps'] %},
        case when {{ matches_step(step) }} then {{ step['number'] }} / cast({{ funnel['steps'] | length }} as double) else 0 end
        {%- endfor %}
        {%- endfor %}
    )
{%- endmacro %}
