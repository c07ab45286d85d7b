{# The canonical events of some loads, by default of all that are live, as a relation. The list of files is read once,
   as a literal, so that the engine opens no other. #}
{% macro lake_events(loads='retired_seq is null') -%}
    {{ return(adapter.dispatch('lake_events')(loads)) }}
{%- endmacro %}

{% macro default__lake_events(which) -%}
    {%- set loads = source('ops', 'loads') -%}
    {%- set files = [] -%}
    {%- if execute and load_relation(loads) -%}
        {%- set query -%}
            select parquet_file from {{ loads }}
            where {{ which }} and parquet_file is not null
            order by load_seq
        {%- endset -%}
        {%- set files = run_query(query).columns[0].values() -%}
    {%- endif -%}
    {%- if files -%}
        read_parquet(
            [
                {%- for file in files %}
                '{{ (var("lake_dir") ~ "/" ~ file) | replace("'", "''") }}'
                {%- if not loop.last %},{% endif %}
                {%- endfor %}
            ],
            hive_partitioning = false
        )
    {%- else -%}
        (
            select
                {%- for name, type in canonical_event_columns().items() %}
                cast(null as {{ type }}) as {{ name }}{% if not loop.last %},{% endif %}
                {%- endfor %}
            where false
        ) as no_loads_yet
    {%- endif -%}
{%- endmacro %}


{# The lake's columns and their types, in order. #}
{% macro canonical_event_columns() -%}
    {{ return({
        'event_id': 'varchar', 'event_name': 'varchar',
        'event_ts': 'timestamp', 'received_ts': 'timestamp',
        'user_id': 'varchar', 'anonymous_id': 'varchar', 'source_session_id': 'varchar',
        'page': 'varchar', 'referrer': 'varchar',
        'utm_source': 'varchar', 'utm_medium': 'varchar', 'utm_campaign': 'varchar',
        'platform': 'varchar', 'device': 'varchar', 'country': 'varchar',
        'item_id': 'varchar', 'quantity': 'decimal(18, 4)', 'revenue': 'decimal(18, 4)', 'currency': 'varchar',
        'properties': 'varchar', 'source': 'varchar', 'dump_file': 'varchar', 'dump_row': 'bigint',
        'load_id': 'varchar',
    }) }}
{%- endmacro %}
