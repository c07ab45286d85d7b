{#- Within an instant, a user's events go by their ids; only the few that share one pay for ranking. Kept as numbers, as
    an aggregate's texts cannot leave memory. -#}

with events as (
    select * from {{ ref('int_events_identified') }} as identified
    where {{ in_region('users of days', 'identified', anew=not stored('int_user_activity')) }}
),

shared_instants as (
    select {{ row_hash(['user_key', 'event_ts']) }} as instant_hash
    from events
    group by {{ row_hash(['user_key', 'event_ts']) }}
    having count(*) > 1
),

ranked as (
    select
        source,
        event_id,
        row_number() over (partition by user_key, event_ts order by event_id, source) as place
    from events
    where {{ row_hash(['user_key', 'event_ts']) }} in (select shared_instants.instant_hash from shared_instants)
),

ties as (
    select * from ranked
    where place > 1
)

select * from ties
