{# Whether a text has a match of a regular expression, which the caller anchors. No backslashes in it: engines read them
   differently in literals. #}
{% macro has_match(text, pattern) -%}
    {{ return(adapter.dispatch('has_match')(text, pattern)) }}
{%- endmacro %}

{% macro default__has_match(text, pattern) -%}
    regexp_matches({{ text }}, {{ quoted(pattern) }})
{%- endmacro %}


{# What the first group of a regular expression matches; empty where nothing does. #}
{% macro first_match(text, pattern) -%}
    {{ return(adapter.dispatch('first_match')(text, pattern)) }}
{%- endmacro %}

{% macro default__first_match(text, pattern) -%}
    regexp_extract({{ text }}, {{ quoted(pattern) }}, 1)
{%- endmacro %}


{# A group's texts in a stated order, as one text. #}
{% macro joined_texts(column, separator, order_by) -%}
    {{ return(adapter.dispatch('joined_texts')(column, separator, order_by)) }}
{%- endmacro %}

{% macro default__joined_texts(column, separator, order_by) -%}
    string_agg({{ column }}, {{ quoted(separator) }} order by {{ order_by }})
{%- endmacro %}


{# A text that is one of few, as cheap to sort and to join as a number where the engine has such a type. #}
{% macro one_of(text, texts) -%}
    {{ return(adapter.dispatch('one_of')(text, texts)) }}
{%- endmacro %}

{% macro default__one_of(text, texts) -%}
    cast({{ text }} as {{ 'enum(' ~ text_list(texts) ~ ')' if texts else dbt.type_string() }})
{%- endmacro %}
