{#- What lies before a user's first change stays as it is, but for the session that the change may reach: one that ended
    no longer than the timeout before. So rows are recomputed from its start on. A funnel's entries are recomputed from
    its window before the first change to the last. Days are from a day before to a day after: where clocks go back over
    midnight, a day comes once more (St. John's until 2011). -#}
-- depends_on: {{ ref('int_events_identified') }}

{%- set stored_sessions = stored('sessions') %}
{%- set window_before = add_seconds('changed_from', -longest_funnel_window()) %}

with changes as (
    select * from {{ record('increments', 'event_changes') }}
    where change_seq > {{ applied_seq() }}
),

users as (
    select
        user_key,
        min(event_ts) as changed_from,
        max(event_ts) as changed_until,
        min(cast({{ local_timestamp('event_ts') }} as date)) filter (where is_purchase) as purchases_changed_from,
        {{ listed_texts('reason') }} as reasons
    from changes
    group by user_key
),

{% if stored_sessions -%}
reached as (
    select
        users.user_key,
        min(sessions.started_at) as started_at
    from users
    inner join {{ stored_sessions }} as sessions
        on
            users.user_key = sessions.user_key
            and users.changed_from <= {{ add_seconds('sessions.ended_at', session_timeout_seconds()) }}
    group by users.user_key
),

widened as (
    select
        users.*,
        case when reached.started_at < users.changed_from then reached.started_at else users.changed_from end as since
    from users
    left join reached on users.user_key = reached.user_key
),

{%- else -%}
widened as (
    select
        users.*,
        cast('0001-01-01' as timestamp) as since
    from users
),

{%- endif %}

touched_users as (
    select
        *,
        {{ add_days('cast(' ~ local_timestamp('since') ~ ' as date)', -1) }} as since_date,
        {{ add_days('cast(' ~ local_timestamp(window_before) ~ ' as date)', -1) }} as entries_from,
        {{ add_days('cast(' ~ local_timestamp('changed_until') ~ ' as date)', 1) }} as entries_until
    from widened
)

select * from touched_users
