{# An estimate of money as marts keep it: what is beyond decimal(18, 4) is the most that this holds in whole units, so
   that one absurd revenue, extrapolated, fails no night. #}
{% macro as_money(estimate) -%}
    {#- Not `least`, which passes over null. -#}
    case
        when {{ estimate }} > 99999999999999 then cast(99999999999999 as decimal(18, 4))
        else cast({{ estimate }} as decimal(18, 4))
    end
{%- endmacro %}
