{# How the last build that was applied throughout is told from what has come since; the README says how a night goes.
   All of it is read once, as literals, so that the engine reads no file in vain. #}


{# A table that the builds keep of themselves. No source: it is no step on the way of the data. #}
{% macro record(schema, name) -%}
    {{ return(api.Relation.create(database=target.database, schema=schema, identifier=name)) }}
{%- endmacro %}


{# A model as an earlier build left it, or none where it has to be built anew. Not a `ref`: the model may well come
   later in this build. #}
{% macro stored(name, schema=none) -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        {%- set schema = schema or ('intermediate' if name.startswith('int_') else 'marts') -%}
        {{ return(load_relation(api.Relation.create(database=target.database, schema=schema, identifier=name))) }}
    {%- endif -%}
{%- endmacro %}


{# The events as an earlier build left them, as a relation, each with where it is stored until this build writes; none
   where all are built anew. #}
{% macro stored_events() -%}
    (
        {%- if stored('int_events_identified') %}
        select
            *,
            {{ row_address() }} as stored_row
        from {{ stored('int_events_identified') }}
        {%- else %}
        select
            *,
            cast(null as bigint) as stored_row
        from {{ ref('stg_events') }}
        where false
        {%- endif %}
    )
{%- endmacro %}


{# The last load or retirement that every incremental model has taken in. Whoever was never built is not behind: it is
   built from everything. #}
{% macro applied_seq() -%}
    {%- if execute and load_relation(record('increments', 'built_models')) -%}
        {%- set built = record('increments', 'built_models') -%}
        {%- set query = 'select coalesce(min(built_seq), 0) from ' ~ built ~ ' where is_incremental' -%}
        {{ return(run_query(query).columns[0].values()[0]) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}


{# Which loads came after that, as a condition on ops.loads. #}
{% macro came_since() -%}
    load_seq > {{ applied_seq() }} and retired_seq is null
{%- endmacro %}


{# Which loads went after that; one that came and went in between may yet have been seen by a build that was killed. #}
{% macro went_since() -%}
    retired_seq > {{ applied_seq() }}
{%- endmacro %}


{# The ids of the loads that went, as a list of literals; it may be empty. #}
{% macro loads_that_went() -%}
    {%- if execute and load_relation(source('ops', 'loads')) -%}
        {%- set query = 'select load_id from ' ~ source('ops', 'loads') ~ ' where ' ~ went_since() -%}
        {{ return(run_query(query).columns[0].values() | list) }}
    {%- endif -%}
    {{ return([]) }}
{%- endmacro %}
