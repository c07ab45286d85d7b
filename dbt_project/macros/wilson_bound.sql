{# One end of the 95 % score interval of a share (Wilson, JASA 22, 1927, 209-212). The share is in it and 0…1 holds it,
   which doubles, left alone, miss by a last digit. #}
{% macro wilson_bound(share, trials, sign) -%}
    {%- set z = 1.959963984540054 -%}
    {%- set pick = 'greatest(0.0, least(' if sign == '-' else 'least(1.0, greatest(' -%}
    {{ pick }}{{ share }}, (
        {{ share }} + {{ z * z }} / (2 * {{ trials }})
        {{ sign }} {{ z }} * sqrt(
            ({{ share }} * (1 - {{ share }}) + {{ z * z }} / (4 * {{ trials }})) / {{ trials }}
        )
    ) / (1 + {{ z * z }} / {{ trials }})))
{%- endmacro %}
