{#- Where the commonest values are others than before, rows move to and from `other` in every period; where they are of
    users, any user's may be another by now. -#}

{%- set stored_steps = stored('funnel_steps') %}

with breakdowns as (
    select * from {{ ref('int_funnel_breakdowns') }}
),

before as (
    {%- if stored_steps %}
    select distinct
        funnel,
        breakdown
    from {{ stored_steps }}
    where entry_grain = 'all' and breakdown not in ('all', 'other', 'null')
    {%- else %}
    select * from breakdowns
    where false
    {%- endif %}
),

touched_funnels as (
    select distinct coalesce(breakdowns.funnel, before.funnel) as funnel
    from breakdowns
    full outer join before
        on
            breakdowns.funnel = before.funnel
            and breakdowns.breakdown = before.breakdown
    where breakdowns.funnel is null or before.funnel is null
    {%- for funnel in funnels_with('breakdown') if funnel['breakdown']['user_column'] %}
    union
    select {{ quoted(funnel['name']) }} as funnel
    {%- endfor %}
)

select * from touched_funnels
