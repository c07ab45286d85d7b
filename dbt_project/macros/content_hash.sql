{# A hash of what an event says, not of where it came from: the tie-break between copies of one event. #}
{% macro content_hash(relation) -%}
    {%- set lineage = ['source', 'dump_file', 'dump_row', 'load_id'] -%}
    {%- set content = [] -%}
    {%- for column in canonical_event_columns() if column not in lineage -%}
        {%- do content.append(relation ~ '.' ~ column) -%}
    {%- endfor -%}
    {{ hash_key(content) }}
{%- endmacro %}
