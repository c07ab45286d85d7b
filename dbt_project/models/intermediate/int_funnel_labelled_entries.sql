{{ config(materialized='ephemeral') }}

{%- set broken_down = funnels_with('breakdown') %}
{%- set by_user = broken_down | selectattr('breakdown.user_column') | list %}

with entries as (
    select * from {{ ref('int_funnel_period_entries') }}
),

{% if by_user -%}
users as (
    select * from {{ ref('users') }}
),

valued as (
    select
        entries.*,
        case entries.funnel
            {%- for funnel in by_user %}
            when {{ quoted(funnel['name']) }} then {{ user_label(funnel) }}
            {%- endfor %}
            else entries.breakdown
        end as value_label
    from entries
    left join users on entries.user_key = users.user_key
),

{% elif broken_down -%}
valued as (
    select
        *,
        breakdown as value_label
    from entries
),

{% endif -%}
labelled_entries as (
    select
        {{ labelled_columns('entries', "'all'") }}
    from entries
    {%- if broken_down %}
    union all
    select
        {{ labelled_columns('valued', counted_label()) }}
    from valued
    left join {{ ref('int_funnel_breakdowns') }} as breakdowns
        on
            valued.funnel = breakdowns.funnel
            and valued.value_label = breakdowns.breakdown
    where valued.funnel in ({{ text_list(broken_down | map(attribute='name') | list) }})
    {%- endif %}
)

select * from labelled_entries
