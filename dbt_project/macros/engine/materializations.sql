{# dbt-duckdb's own materializations move what was there out of the way, and look for indexes, foreign keys, grants and
   for what an earlier move left: a dozen statements, each at the price of a context of all macros. No model has any of
   these. Here one transaction puts a relation in another's place, so that a model which fails leaves what was there. #}
{% materialization table, adapter='duckdb' -%}
    {{ return(built_anew('table')) }}
{%- endmaterialization %}


{% materialization view, adapter='duckdb' -%}
    {{ return(built_anew('view')) }}
{%- endmaterialization %}


{# A table whose incremental strategy `touched_region` is asked for once it is there. #}
{% materialization incremental, adapter='duckdb' -%}
    {%- set stored, table = load_cached_relation(this), this.incorporate(type='table') -%}
    {%- if not stored or stored.is_view or should_full_refresh() -%}
        {{ return(built_anew('table')) }}
    {%- endif -%}
    {%- set recomputed = make_temp_relation(table) -%}

    {{ run_hooks(pre_hooks) }}
    {%- call statement('recompute') -%}
        {{ create_table_as(true, recomputed, compiled_code) }}
    {%- endcall -%}
    {%- set columns = columns_of(recomputed) -%}
    {%- do assert_same_columns(columns, columns_of(stored)) -%}
    {%- call statement('main') -%}
        {{ get_incremental_touched_region_sql({
            'target_relation': table, 'temp_relation': recomputed, 'dest_columns': columns,
            'unique_key': config.get('unique_key'),
        }) }}
    {%- endcall -%}
    {%- do persist_docs(table, model) -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}

    {{ return({'relations': [table]}) }}
{%- endmaterialization %}


{# Puts a model's rows, or the view of them, in the place of what has its name. #}
{% macro built_anew(type) -%}
    {%- set old, new = load_cached_relation(this), this.incorporate(type=type) -%}

    {{ run_hooks(pre_hooks) }}
    {%- call statement('main') -%}
        {%- if old %}drop {{ old.type }} if exists {{ old }};{% endif %}
        {{ create_table_as(false, new, compiled_code) if type == 'table' else create_view_as(new, compiled_code) }}
    {%- endcall -%}
    {%- do persist_docs(new, model) -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {#- dbt would go on taking what was a view for one. -#}
    {%- if old -%}{%- do adapter.cache_dropped(old) -%}{%- endif -%}

    {{ return({'relations': [new]}) }}
{%- endmacro %}


{# What is to be stored must fit what is, whatever the order of its columns. Definitions that change are built anew before
   dbt runs, so that only types may differ here that follow from the data. #}
{% macro assert_same_columns(columns, stored_columns) -%}
    {%- set new = format_columns(columns) | map(attribute='formatted') | sort -%}
    {%- set stored = format_columns(stored_columns) | map(attribute='formatted') | sort -%}
    {%- if new != stored -%}
        {%- do exceptions.raise_compiler_error(
            'The stored table has other columns: ' ~ stored | reject('in', new) | join(', ') ~ ' in place of '
            ~ new | reject('in', stored) | join(', ')
        ) -%}
    {%- endif -%}
{%- endmacro %}


{# A relation's columns, with no table of dbt's made of them. A struct, which no model has, comes as its fields. #}
{% macro columns_of(relation) -%}
    {{ return(adapter.get_column_schema_from_query('from ' ~ relation)) }}
{%- endmacro %}


{# A relation's description and those of its columns, as comments, in one statement. #}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set comments -%}
        {%- if for_relation and config.persist_relation_docs() and model.description -%}
            {{ alter_relation_comment(relation, model.description) }}
        {%- endif -%}
        {%- if for_columns and config.persist_column_docs() and model.columns -%}
            {%- set existing = columns_of(relation) | map(attribute='name') | list -%}
            {%- for name, column in validate_doc_columns(relation, model.columns, existing).items() %}
            comment on column {{ relation }}.{{ adapter.quote(name) }} is {{ duckdb_escape_comment(column.description) }};
            {%- endfor -%}
        {%- endif -%}
    {%- endset -%}
    {%- if comments -%}
        {%- call statement('comments') -%}{{ comments }}{%- endcall -%}
    {%- endif -%}
{%- endmacro %}
