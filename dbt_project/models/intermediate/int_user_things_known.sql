{{ config(materialized='ephemeral') }}

{#- A thing that a user met is known in spans of time that do not overlap, so that those at a cutoff count it once. An
    increment's events are kept at hand; where all is built anew, each kind reads its own column, and the things met are
    not put into memory: there are more of them than events. -#}

{%- set kinds = {'items': 'item_id', 'pages': 'page', 'platforms': 'platform'} %}
{%- set anew = not stored('int_user_breadth_known') %}
{%- set events = ref('int_events_known') if anew else 'events' %}
{%- set is_touched = in_region('users', 'known', anew=anew) %}

with {% if not anew -%}
events as (
    select
        user_key,
        known_from,
        known_until,
        {{ kinds.values() | join(', ') }}
    from {{ ref('int_events_known') }} as known
    where {{ is_touched }}
),

{% endif -%}
met as {{ not_kept() }} (
    {%- for kind, column in kinds.items() %}
    select
        user_key,
        '{{ kind }}' as kind,
        {{ column }} as thing,
        min(known_from) as known_from,
        known_until
    from {{ events }}
    where {{ column }} is not null
    group by user_key, {{ column }}, known_until
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

remembered as (
    select * from met
    where known_until is null
),

forgotten as (
    select
        *,
        max(known_until) over (
            partition by user_key, kind, thing
            order by known_from, known_until rows between unbounded preceding and 1 preceding
        ) as seen_until
    from met
    where known_until is not null
),

spans as (
    select
        user_key,
        kind,
        known_from,
        known_until
    from remembered
    union all
    select
        forgotten.user_key,
        forgotten.kind,
        case when forgotten.seen_until > forgotten.known_from then forgotten.seen_until else forgotten.known_from end
            as known_from,
        case
            when forgotten.known_until > remembered.known_from then remembered.known_from
            else forgotten.known_until
        end as known_until
    from forgotten
    left join remembered
        on
            forgotten.user_key = remembered.user_key
            and forgotten.kind = remembered.kind
            and forgotten.thing = remembered.thing
)

select * from spans
where known_until is null or known_from < known_until
