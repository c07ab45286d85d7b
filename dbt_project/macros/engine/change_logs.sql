{# Which users' events changed, when and why: what every model downstream goes by until all have taken it in. A build
   that is killed half-way finds it here. #}
{% macro log_event_changes(recomputed) -%}
    {%- set went = loads_that_went() -%}
    insert into {{ record('increments', 'event_changes') }}
    with reasons as (
        select
            gone.user_key as old_user_key,
            gone.earlier_user_key as old_earlier_user_key,
            gone.event_ts as old_event_ts,
            come.user_key as new_user_key,
            come.earlier_user_key as new_earlier_user_key,
            come.event_ts as new_event_ts,
            {{ event_change_reason(went) }} as reason,
            coalesce(gone.event_name, '') in ({{ text_list(var('key_events')) }})
            or coalesce(come.event_name, '') in ({{ text_list(var('key_events')) }})
            or coalesce(gone.revenue, 0) != 0
            or coalesce(come.revenue, 0) != 0 as is_purchase
        from {{ event_differences(recomputed) }}
    ),

    changes as (
        {%- for user_key in ['user_key', 'earlier_user_key'] %}
        select old_{{ user_key }} as user_key, old_event_ts as event_ts, reason, is_purchase from reasons
        union all
        select new_{{ user_key }} as user_key, new_event_ts as event_ts, reason, is_purchase from reasons
        {%- if not loop.last %}
        union all
        {%- endif %}
        {%- endfor %}
    )

    select
        (select coalesce(max(greatest(load_seq, coalesce(retired_seq, 0))), 0) from {{ source('ops', 'loads') }}),
        user_key,
        event_ts,
        reason,
        bool_or(is_purchase)
    from changes
    where user_key is not null
    group by user_key, event_ts, reason;
{%- endmacro %}


{# The events that differ, as they were stored (`gone`) and as they are recomputed (`come`), beside the last moment of all
   that was stored. #}
{% macro event_differences(recomputed) -%}
    differing
        left join intermediate.int_events_stored as gone on differing.stored_row = gone.stored_row
        left join (select *, {{ row_address() }} as recomputed_row from {{ recomputed }}) as come
            on differing.recomputed_row = come.recomputed_row
        cross join (select max(event_ts) as last_event_ts from {{ this }}) as stored
{%- endmacro %}


{# Why an event differs from what is stored. #}
{% macro event_change_reason(went) -%}
    case
        when come.event_id is null or gone.load_id in ({{ text_list(went) }}) then 'replaced file'
        when gone.event_id is null and come.event_ts < coalesce(stored.last_event_ts, come.event_ts) then 'late'
        when gone.event_id is null then 'new'
        when gone.load_id = come.load_id and gone.dump_row = come.dump_row then 'identity'
        else 'duplicate'
    end
{%- endmacro %}


{# How many rows of a table this build added, removed and changed, and why: for which changes to its user's events,
   where it has a user. #}
{% macro log_restatements(recomputed, columns) -%}
    {%- set is_events = this.identifier == 'int_events_identified' -%}
    insert into {{ record('ops', 'restatements') }}
    with differences as (
        select
            {% if is_events -%}
            {{ event_change_reason(loads_that_went()) }} as reason,
            {%- elif 'user_key' in columns -%}
            coalesce(touched.reasons, 'time or others') as reason,
            {%- else -%}
            'other tables' as reason,
            {%- endif %}
            differing.stored_row is null as is_added,
            differing.recomputed_row is null as is_removed
        from {{ event_differences(recomputed) if is_events else 'differing' }}
        {%- if not is_events and 'user_key' in columns %}
        left join intermediate.int_touched_users as touched on differing.user_key = touched.user_key
        {%- endif %}
    )

    select
        '{{ env_var('AVILA_RUN_ID', invocation_id) }}',
        cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S") }}' as timestamp),
        '{{ 'marts.events' if is_events else this.schema ~ '.' ~ this.identifier }}',
        reason,
        count(*) filter (where is_added),
        count(*) filter (where is_removed),
        count(*) filter (where not is_added and not is_removed)
    from differences
    group by reason;
{%- endmacro %}
