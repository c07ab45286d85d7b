{# dbt's incremental strategy `touched_region`: the stored rows of the region become the recomputed ones, in one
   transaction. Only rows that differ are written, and ops.restatements says how many did.

   Config of a model:
       unique_key: what tells rows apart.
       meta.region, meta.moment: the stored rows that the model's SQL recomputes, as for `in_region`; without, all.
       meta.or_where: a condition on others that it recomputes, too.
       meta.or_named: whether it recomputes others that no condition tells, and names them by its rows.
       meta.stored_in: a model that has read these rows already, in this build.
#}
{% macro get_incremental_touched_region_sql(arguments) -%}
    {%- set stored, recomputed = arguments['target_relation'], arguments['temp_relation'] -%}
    {%- set key = [arguments['unique_key']] if arguments['unique_key'] is string else arguments['unique_key'] -%}
    {%- set columns = arguments['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set names = arguments['dest_columns'] | map(attribute='name') | list -%}
    {%- set meta = config.get('meta') -%}
    {%- set region = meta.get('region') -%}
    {%- set in_region -%}
        {%- if region -%}
            {{ region_condition(region, 'stored', meta.get('moment'), 'intermediate.' ~ touched_model(region)) }}
        {%- else -%}
            true
        {%- endif -%}
        {%- if meta.get('or_where') %} or ({{ meta.get('or_where') }}){% endif -%}
        {%- if meta.get('or_named') %}
            or ({{ key | join(', ') }}) in (select {{ key | join(', ') }} from {{ recomputed }})
        {%- endif -%}
    {%- endset -%}

    {{ assert_key_is_unique(recomputed, key) }}

    create or replace temp table differing as
    select
        stored.stored_row,
        recomputed.recomputed_row
        {%- if 'user_key' in names %},
        coalesce(recomputed.user_key, stored.user_key) as user_key
        {%- endif %}
    from (
        {% if meta.get('stored_in') -%}
        select * from intermediate.{{ meta.get('stored_in') }}
        {%- else -%}
        select *, {{ row_address() }} as stored_row from {{ stored }} as stored where {{ in_region }}
        {%- endif %}
    ) as stored
    full outer join (
        select *, {{ row_address() }} as recomputed_row from {{ recomputed }}
    ) as recomputed on {{ same_row(key, 'stored', 'recomputed') }}
    where
        stored.stored_row is null
        or recomputed.recomputed_row is null
        {%- for column in names if column not in key %}
        or stored.{{ adapter.quote(column) }} is distinct from recomputed.{{ adapter.quote(column) }}
        {%- endfor %};

    {% if this.identifier == 'int_events_identified' -%}
        {{ log_event_changes(recomputed) }}
    {%- endif %}
    {% if this.schema == 'marts' or this.identifier == 'int_events_identified' -%}
        {{ log_restatements(recomputed, names) }}
    {%- endif %}

    delete from {{ stored }}
    where {{ row_address() }} in (select differing.stored_row from differing where differing.stored_row is not null);
    insert into {{ stored }} ({{ columns }})
    select {{ columns }} from {{ recomputed }}
    where {{ row_address() }} in (
        select differing.recomputed_row from differing where differing.recomputed_row is not null
    );

    drop table differing;
{%- endmacro %}


{# Rows that differ are found by their key: of two that share one, either might be lost. #}
{% macro assert_key_is_unique(recomputed, key) -%}
    select error(
        'In {{ this.schema }}.{{ this.identifier }}, what unique_key names ({{ key | join(", ") }}) must tell the rows '
        || 'apart, but several have ' || cast(({{ key | join(', ') }}) as {{ dbt.type_string() }})
    )
    from {{ recomputed }}
    group by {{ key | join(', ') }}
    having count(*) > 1
    limit 1;
{%- endmacro %}


{% macro same_row(key, left, right) -%}
    {%- for column in key -%}
        {{ left }}.{{ column }} is not distinct from {{ right }}.{{ column }}
        {%- if not loop.last %} and {% endif -%}
    {%- endfor -%}
{%- endmacro %}


{# Where a table keeps a row, for as long as nothing is written to it. #}
{% macro row_address() -%}
    {{ return(adapter.dispatch('row_address')()) }}
{%- endmacro %}

{% macro default__row_address() -%}
    rowid
{%- endmacro %}
