{#- After an instant the path goes on at a strictly later one. A strict path goes on only at the user's very next
    instant, and only from one whose events it used up, or from its first. -#}

{%- set any_strict = var('funnels') | selectattr('order', 'equalto', 'strict') | list | length > 0 %}

with runs as (
    select * from {{ ref('int_funnel_runs') }}
),

declared as (
    select * from {{ ref('int_funnels_declared') }}
    where step_number = 1
),

{% if any_strict -%}
all_instants as (
    select
        user_key,
        event_ts,
        count(*) as all_events,
        lead(event_ts) over (partition by user_key order by event_ts) as next_event_ts
    from {{ ref('int_events_identified') }} as events
    where {{ in_region('funnel_events', 'events', 'event_ts', anew=not stored('int_funnel_entries')) }}
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
    from runs
    union all
    select
        funnel,
        user_key,
        to_step + 1 as to_reach,
        event_ts,
        1 as is_origin,
        from_step,
        to_step
    from runs
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
    inner join declared on linked.funnel = declared.funnel
    {%- if any_strict %}
    inner join all_instants
        on
            linked.user_key = all_instants.user_key
            and linked.event_ts = all_instants.event_ts
    {%- endif %}
    where linked.is_origin = 1
)

select * from moments
