{# How wide the slices of a day's habits are, in seconds: at most the session timeout, so that two events in one share a
   session, and a part of a quarter of an hour, as zones are quarters of an hour from UTC: none spans a full hour of
   theirs, as one of half an hour does in Kathmandu. #}
{% macro day_slice_seconds() -%}
    {{ return([900, 450, 300, 180, 100, 60, 30, 10] | select('le', session_timeout_seconds()) | first | default(1)) }}
{%- endmacro %}
