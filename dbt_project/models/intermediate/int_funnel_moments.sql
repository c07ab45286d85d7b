{#- Simultaneous events may be taken in whichever order helps, so a moment carries a user from its first step as far
    as its events can fill; after it, the path goes on at a strictly later moment. A strict path may also stop short
    in its first moment (what is left unused may lie before it), and goes on only at the very next moment,
    and only from moments it used up. -#}

{%- set funnels = var('funnels') | rejectattr('order', 'equalto', 'unordered') | list %}
{%- set any_strict = funnels | selectattr('order', 'equalto', 'strict') | list | length > 0 %}

with step_events as (
    select * from {{ ref('int_funnel_step_events') }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
    where step_order != 'unordered'
),

instants as (
    select
        funnel,
        user_key,
        event_ts,
        min(matches) as matches,
        count(*) as step_events
    from step_events
    group by funnel, user_key, event_ts
),

lone as (
    select
        instants.funnel,
        instants.user_key,
        instants.event_ts,
        declared.step_number as from_step,
        declared.step_number as to_step
    from instants
    inner join declared
        on
            instants.funnel = declared.funnel
            and instants.matches & declared.step_bit != 0
    where instants.step_events = 1
),

tied_events as (
    select step_events.*
    from step_events
    inner join instants
        on
            step_events.funnel = instants.funnel
            and step_events.user_key = instants.user_key
            and step_events.event_ts = instants.event_ts
    where instants.step_events > 1
),

tied as (
    {%- for funnel in funnels %}
    {%- set steps = funnel['steps'] %}
    {%- for step in steps %}
    {%- set first = loop.index0 %}
    {%- set may_stop_short = funnel['order'] == 'strict' and first == 0 %}
    {%- for last in range(first, steps | length) %}
    {%- set is_furthest = 'true' if may_stop_short or loop.last
        else 'not (' ~ can_fill(steps[first:last + 2]) ~ ')' %}
    select
        funnel,
        user_key,
        event_ts,
        {{ first + 1 }} as from_step,
        {{ last + 1 }} as to_step
    from tied_events
    where funnel = {{ quoted(funnel['name']) }}
    group by funnel, user_key, event_ts
    having {{ can_fill(steps[first:last + 1]) }} and {{ is_furthest }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select * from lone
),

{% if any_strict -%}
all_instants as (
    select
        user_key,
        event_ts,
        count(*) as all_events,
        lead(event_ts) over (partition by user_key order by event_ts) as next_event_ts
    from {{ ref('int_events_identified') }}
    group by user_key, event_ts
),

{% endif -%}
links as (
    select
        funnel,
        user_key,
        from_step as to_reach,
        event_ts,
        0 as is_origin,
        from_step,
        to_step
    from tied
    union all
    select
        funnel,
        user_key,
        to_step + 1 as to_reach,
        event_ts,
        1 as is_origin,
        from_step,
        to_step
    from tied
),

linked as (
    select
        *,
        min(case when is_origin = 0 then event_ts end) over (
            partition by funnel, user_key, to_reach
            order by event_ts, is_origin
            rows between current row and unbounded following
        ) as next_at
    from links
),

moments as (
    select
        linked.funnel,
        linked.user_key,
        linked.event_ts,
        linked.from_step,
        linked.to_step,
        {%- if any_strict %}
        case
            when declared.step_order = 'ordered' then linked.next_at
            when
                linked.from_step = 1
                or all_instants.all_events = linked.to_step - linked.from_step + 1
                then all_instants.next_event_ts
        end as next_at,
        {%- else %}
        linked.next_at,
        {%- endif %}
        declared.window_seconds
    from linked
    inner join declared
        on
            linked.funnel = declared.funnel
            and declared.step_number = 1
    {%- if any_strict %}
    inner join all_instants
        on
            linked.user_key = all_instants.user_key
            and linked.event_ts = all_instants.event_ts
    {%- endif %}
    where linked.is_origin = 1
)

select * from moments
