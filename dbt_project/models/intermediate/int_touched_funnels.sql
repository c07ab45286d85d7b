{#- Where the commonest values are others than before, rows move to and from `other` in every period; where they are of
    users, any user's may be another by now. -#}

{%- set stored_steps = stored('funnel_steps') %}

with breakdowns as (
    select
        funnel,
        breakdown
    from {{ ref('int_funnel_breakdowns') }}
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

differing as (
    select coalesce(breakdowns.funnel, before.funnel) as funnel
    from breakdowns
    full outer join before
        on
            breakdowns.funnel = before.funnel
            and breakdowns.breakdown = before.breakdown
    where breakdowns.funnel is null or before.funnel is null
    {%- for funnel in funnels_with('breakdown') if funnel['breakdown']['user_column'] %}
    union all
    select {{ quoted(funnel['name']) }} as funnel
    {%- endfor %}
),

touched_funnels as (
    select distinct funnel
    from differing
)

select * from touched_funnels
