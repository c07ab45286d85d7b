{# Whether a row lies in the region that this build recomputes; true where a model is built anew.

    'days'           the days of a user with a change
    'users'          the users with a change, whole
    'outcomes'       those and the visitors who logged in later as one of them, whole
    'sessions'       their rows from the start of the session on that their first change could reach
    'entries'        their rows of the days from a funnel's window before their first change to the last change
    'periods'        the periods in which a funnel's counts may have changed, of all users
    'purchases'      the rows as of the first day of a changed purchase, of all users, and later
    'scores'         those of them that are of users with a change

   Args:
       region: one of these.
       row: the alias of the row.
       moment: the column that places the row in time, for sessions, entries, purchases and scores; a date counts as a
           whole.
       anew: whether the rows are for a model that is built anew; by default, whether this one is.
#}
{% macro in_region(region, row, moment=none, anew=none) -%}
    {%- set is_anew = not is_increment() if anew is none else anew -%}
    {#- A unit test knows only the models it is given. -#}
    {%- if not (is_anew and model.resource_type == 'unit_test') -%}
        {%- do ref(touched_model(region)) -%}
    {%- endif -%}
    {{ 'true' if is_anew else region_condition(region, row, moment, ref(touched_model(region))) }}
{%- endmacro %}


{# dbt's is_incremental, but for unit tests: to one, `this` is nothing, and it must say itself that it is of an increment.
   A model that is not kept is never incremental to dbt, so it must say `anew` by the model it is for. #}
{% macro is_increment() -%}
    {%- if execute and model.resource_type == 'model' and model.config.materialized in ('ephemeral', 'view') -%}
        {{ exceptions.raise_compiler_error(model.name ~ ' is not kept: say `anew=not stored(…)` of the model it is for') }}
    {%- endif -%}
    {{ return(model.resource_type != 'unit_test' and is_incremental()) }}
{%- endmacro %}


{% macro touched_model(region) -%}
    {{ return({
        'days': 'int_touched_days', 'periods': 'int_touched_periods', 'outcomes': 'int_touched_outcomes',
    }.get(region, 'int_touched_users')) }}
{%- endmacro %}


{% macro region_condition(region, row, moment, touched) -%}
    {%- if region == 'purchases' -%}
    {{ row }}.{{ moment }} >= (select min(touched.purchases_changed_from) from {{ touched }} as touched)
    {%- elif region == 'scores' -%}
    {{ region_condition('users', row, moment, touched) }} and {{ region_condition('purchases', row, moment, touched) }}
    {%- elif region == 'sessions' -%}
    {{ is_between(row, moment, touched, 'touched.since_date' if moment.endswith('_date') else 'touched.since') }}
    {%- elif region == 'entries' -%}
    {{ is_between(row, moment, touched, 'touched.entries_from', 'touched.entries_until') }}
    {%- elif region == 'periods' -%}
    exists (
        select 1 from {{ touched }} as touched
        where
            touched.entry_grain = {{ row }}.entry_grain
            and touched.entry_period is not distinct from {{ row }}.entry_period
    )
    {%- elif region == 'days' -%}
    ({{ row }}.user_key, {{ row }}.activity_date) in (
        select touched.user_key, touched.activity_date from {{ touched }} as touched
    )
    {%- else -%}
    {{ row }}.user_key in (select touched.user_key from {{ touched }} as touched)
    {%- endif -%}
{%- endmacro %}


{# The events that a model's region follows from, with the columns that are read again: in an increment, all of its users,
   also those that seemed to be theirs. #}
{% macro events_in_reach(anew=none) -%}
    {%- set is_anew = not is_increment() if anew is none else anew -%}
    {%- if not (is_anew and model.resource_type == 'unit_test') -%}
        {%- do ref('int_events_in_reach') -%}
    {%- endif -%}
    {%- set all_events = ref('int_events_identified') -%}
    {{ return(all_events if is_anew else ref('int_events_in_reach')) }}
{%- endmacro %}


{# Whether there are users with a change, asked when the model that names them is there: where all is built anew there are
   none, and no event needs to be read to find theirs. #}
{% macro is_anyone_touched() -%}
    {%- set touched = load_relation(ref('int_touched_users')) if execute and model.resource_type != 'unit_test' -%}
    {%- set is_anyone = not touched or run_query('select 1 from ' ~ touched ~ ' limit 1').rows | length > 0 -%}
    {{ return('true' if is_anyone else 'false') }}
{%- endmacro %}


{# The canonical columns that are read again of an event once it has its user: what models name, and what funnels do. #}
{% macro columns_in_reach() -%}
    {%- set named = [
        'event_id', 'event_name', 'event_ts', 'page', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'platform',
        'country', 'item_id', 'revenue', 'properties', 'source',
    ] -%}
    {%- set columns = [] -%}
    {%- for column in canonical_event_columns() if column in named or column in tojson(var('funnels')) | lower -%}
        {%- do columns.append(column) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}


{# Whether a row of a touched user is placed from one bound on, to another. Bounds are found by key, as scalars: joined by
   an inequality, they would be worked out for every row anew; and only for the rows of such users. #}
{% macro is_between(row, moment, touched, lower, upper=none) -%}
    {{ row }}.user_key in (select touched.user_key from {{ touched }} as touched)
    and {{ row }}.{{ moment }} >= (
        select min({{ lower }}) from {{ touched }} as touched where touched.user_key = {{ row }}.user_key
    )
    {%- if upper %}
    and {{ row }}.{{ moment }} <= (
        select min({{ upper }}) from {{ touched }} as touched where touched.user_key = {{ row }}.user_key
    )
    {%- endif -%}
{%- endmacro %}


{% macro longest_funnel_window() -%}
    {{ return(([0] + (var('funnels') | map(attribute='window_seconds') | list)) | max) }}
{%- endmacro %}


{# Beside the region: the rows of which nothing is stored yet, such as those as of a day that was not over before.

   Args:
       column: what tells them, or several columns in brackets.
       stored_as: what the stored table has for it; by default, a column of that name.
#}
{% macro or_not_stored(column, stored_as=none) -%}
    {%- if is_increment() -%}
        or {{ column }} not in (select distinct {{ stored_as or column.split('.') | last }} from {{ this }})
    {%- endif -%}
{%- endmacro %}


{# Beside the region: the rows whose stored answer is not final. #}
{% macro or_stored_where(key, condition) -%}
    {%- if is_increment() -%}
        or ({{ key | join(', ') }}) in (select {{ key | join(', ') }} from {{ this }} where {{ condition }})
    {%- endif -%}
{%- endmacro %}
