{# One end of the 95 % score interval of a share (Wilson, JASA 22, 1927, 209-212), cut to 0…1. #}
{% macro wilson_bound(share, trials, sign) -%}
    {%- set z = 1.959963984540054 -%}
    {%- set pick = 'greatest(0.0' if sign == '-' else 'least(1.0' -%}
    {{ pick }}, (
        {{ share }} + {{ z * z }} / (2 * {{ trials }})
        {{ sign }} {{ z }} * sqrt(
            ({{ share }} * (1 - {{ share }}) + {{ z * z }} / (4 * {{ trials }})) / {{ trials }}
        )
    ) / (1 + {{ z * z }} / {{ trials }}))
{%- endmacro %}
