-- Whatever the model, the credits of a day add up to its key events and their revenue, to the last digit: they are
-- counted afresh, from the events.
{{ config(meta={'dagster': {'ref': {'name': 'attribution'}}}) }}
with models as (
    select distinct model from {{ ref('attribution') }}
),

happened as (
    select
        event_name as key_event,
        cast({{ local_timestamp('event_ts') }} as date) as activity_date,
        count(*) as key_events,
        coalesce(sum(revenue), 0) as revenue
    from {{ ref('int_events_identified') }}
    where event_name in ({{ text_list(var('key_events')) }})
    group by event_name, cast({{ local_timestamp('event_ts') }} as date)
),

expected as (
    select
        models.model,
        happened.*
    from models
    cross join happened
),

credited as (
    select
        model,
        key_event,
        activity_date,
        sum(key_events) as key_events,
        sum(revenue) as revenue
    from {{ ref('attribution') }}
    group by model, key_event, activity_date
)

select
    credited.*,
    expected.key_events as expected_key_events,
    expected.revenue as expected_revenue
from credited
full outer join expected
    on
        credited.model = expected.model
        and credited.key_event = expected.key_event
        and credited.activity_date = expected.activity_date
where
    credited.key_events is distinct from expected.key_events
    or credited.revenue is distinct from expected.revenue
