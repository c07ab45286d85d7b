{# A text key over columns: null and empty stay apart, and no column runs into the next, whatever it holds. #}
{% macro hash_key(columns) -%}
    md5(
        {%- for column in columns -%}
            {%- set text = 'cast(' ~ column ~ ' as ' ~ dbt.type_string() ~ ')' -%}
            coalesce(replace(replace({{ text }}, '^', '^^'), '|', '^|'), '^~')
            {%- if not loop.last %} || '|' || {% endif -%}
        {%- endfor -%}
    )
{%- endmacro %}


{# A value that sorts as its columns do, first column first; for min_by and max_by. #}
{% macro sort_key(columns) -%}
    {{ return(adapter.dispatch('sort_key')(columns)) }}
{%- endmacro %}

{% macro default__sort_key(columns) -%}
    create_sort_key({% for column in columns %}{{ column }}, 'asc nulls last'{% if not loop.last %}, {% endif %}{% endfor %})
{%- endmacro %}


{# As sort_key, over two whole numbers of up to 64 bits; of a fixed size, so that an aggregate may put it aside when
   memory ends. #}
{% macro order_number(first, second) -%}
    {{ return(adapter.dispatch('order_number')(first, second)) }}
{%- endmacro %}

{% macro default__order_number(first, second) -%}
    (cast({{ first }} as hugeint) * 18446744073709551616 + {{ second }})
{%- endmacro %}


{# A number that rows with equal columns share, and few others: to look for what may be equal, never proof. #}
{% macro row_hash(columns) -%}
    {{ return(adapter.dispatch('row_hash')(columns)) }}
{%- endmacro %}

{% macro default__row_hash(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}


{# A number from 0 to 2^30 that spreads texts evenly, for a text the same whenever it is asked for: by its remainders,
   users are taken or left out. #}
{% macro place_in_sample(column) -%}
    {{ return(adapter.dispatch('place_in_sample')(column)) }}
{%- endmacro %}

{% macro default__place_in_sample(column) -%}
    cast(md5_number_lower({{ column }}) % 1073741824 as bigint)
{%- endmacro %}


{# A group's values as a list in a stated order. #}
{% macro ordered_list(column, order_by) -%}
    {{ return(adapter.dispatch('ordered_list')(column, order_by)) }}
{%- endmacro %}

{% macro default__ordered_list(column, order_by) -%}
    list({{ column }} order by {{ order_by }})
{%- endmacro %}


{# The nearest known value of a column at or after (`following`) or at or before (`preceding`) each row. #}
{% macro nearest_known(column, partition_by, order_by, direction) -%}
    {{ return(adapter.dispatch('nearest_known')(column, partition_by, order_by, direction)) }}
{%- endmacro %}

{% macro default__nearest_known(column, partition_by, order_by, direction) -%}
    {%- if direction == 'following' -%}
        first_value({{ column }} ignore nulls) over (
            partition by {{ partition_by }} order by {{ order_by }}
            rows between current row and unbounded following
        )
    {%- else -%}
        last_value({{ column }} ignore nulls) over (
            partition by {{ partition_by }} order by {{ order_by }}
            rows between unbounded preceding and current row
        )
    {%- endif -%}
{%- endmacro %}


{# The first known value of a column on the rows strictly after each row's place. #}
{% macro first_later(column, partition_by, order_by) -%}
    {{ return(adapter.dispatch('first_later')(column, partition_by, order_by)) }}
{%- endmacro %}

{% macro default__first_later(column, partition_by, order_by) -%}
    first_value({{ column }} ignore nulls) over (
        partition by {{ partition_by }} order by {{ order_by }}
        groups between 1 following and unbounded following
    )
{%- endmacro %}


{# A group's exact median, interpolated. #}
{% macro median(expression) -%}
    {{ percentile(expression, 0.5) }}
{%- endmacro %}


{# The value below which a share of a group's values lies, exact, interpolated. #}
{% macro percentile(expression, share) -%}
    percentile_cont({{ share }}) within group (order by cast({{ expression }} as double))
{%- endmacro %}


{# The n-th element of a list, counted from 1; null beyond its ends. #}
{% macro list_element(items, number) -%}
    {{ return(adapter.dispatch('list_element')(items, number)) }}
{%- endmacro %}

{% macro default__list_element(items, number) -%}
    list_extract({{ items }}, {{ number }})
{%- endmacro %}


{# So many elements from a list's beginning. #}
{% macro first_of_list(items, number) -%}
    {{ return(adapter.dispatch('first_of_list')(items, number)) }}
{%- endmacro %}

{% macro default__first_of_list(items, number) -%}
    list_slice({{ items }}, 1, {{ number }})
{%- endmacro %}


{# A group's distinct texts, in order, as one text. #}
{% macro listed_texts(column) -%}
    {{ return(adapter.dispatch('listed_texts')(column)) }}
{%- endmacro %}

{% macro default__listed_texts(column) -%}
    string_agg(distinct {{ column }}, ', ' order by {{ column }})
{%- endmacro %}


{# One row per element of a list, beside the other columns that are selected. #}
{% macro each_of(items) -%}
    {{ return(adapter.dispatch('each_of')(items)) }}
{%- endmacro %}

{% macro default__each_of(items) -%}
    unnest({{ items }})
{%- endmacro %}


{# How many elements a list has. #}
{% macro list_length(items) -%}
    {{ return(adapter.dispatch('list_length')(items)) }}
{%- endmacro %}

{% macro default__list_length(items) -%}
    cast(len({{ items }}) as integer)
{%- endmacro %}


{# A list of some values, in their order. #}
{% macro list_of(values) -%}
    {{ return(adapter.dispatch('list_of')(values)) }}
{%- endmacro %}

{% macro default__list_of(values) -%}
    [{{ values | join(', ') }}]
{%- endmacro %}
