{#- Within an instant, a user's events go by their ids; only the few that share one pay for ranking. The events are read
    twice: to keep them all at hand for that would cost more. -#}

{%- set anew = not (stored('int_user_activity') and stored('int_funnel_entries')) %}
{%- set instant_hash = row_hash(['user_key', 'event_ts']) %}

with shared_instants as (
    select {{ instant_hash }} as instant_hash
    from {{ events_in_reach(anew) }}
    group by {{ instant_hash }}
    having count(*) > 1
),

ties as (
    select
        source,
        event_id,
        user_key,
        event_ts,
        row_number() over (partition by user_key, event_ts order by event_id, source) as place
    from {{ events_in_reach(anew) }}
    where {{ instant_hash }} in (select shared_instants.instant_hash from shared_instants)
)

select * from ties
