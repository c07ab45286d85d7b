{%- set conversion_event = quoted(var('conversion')['event']) %}

{#- A score is held to what was asked when it was given, which avila.yml may have changed since. Activity counts the
    events that are conversions now, so of others it cannot tell. -#}

with history as (
    select
        'churn' as model,
        user_key,
        as_of,
        probability,
        decile,
        model_version,
        coalesce(horizon_days, {{ var('churn')['horizon_days'] }}) as horizon_days,
        event
    from {{ source('ml', 'churn_score_history') }}
    union all
    select
        'conversion' as model,
        user_key,
        as_of,
        probability,
        decile,
        model_version,
        coalesce(horizon_days, {{ var('conversion')['horizon_days'] }}) as horizon_days,
        coalesce(event, {{ conversion_event }}) as event
    from {{ source('ml', 'conversion_score_history') }}
),

scored as (
    select
        history.*,
        {{ add_days('history.as_of', 'history.horizon_days') }} as horizon_ends,
        {{ local_timestamp('span.last_event_ts') }}
        >= cast({{ add_days('history.as_of', 'history.horizon_days') }} as timestamp) as horizon_is_past
    from history
    cross join {{ ref('int_data_span') }} as span
),

followed as (
    select
        scored.model,
        scored.user_key,
        scored.as_of,
        count(activity.user_key) > 0 as came_back,
        coalesce(sum(activity.conversions), 0) > 0 as converted
    from scored
    inner join {{ ref('int_outcome_keys') }} as keys on scored.user_key = keys.user_key
    left join {{ ref('int_user_activity') }} as activity
        on
            keys.outcome_key = activity.user_key
            and scored.as_of <= activity.activity_date
            and scored.horizon_ends > activity.activity_date
    group by scored.model, scored.user_key, scored.as_of
),

score_history as (
    select
        scored.model,
        scored.user_key,
        scored.as_of,
        scored.probability,
        scored.decile,
        scored.model_version,
        scored.horizon_days,
        scored.event,
        case
            when scored.horizon_is_past and scored.model = 'churn' then not followed.came_back
            when scored.horizon_is_past and scored.event = {{ conversion_event }} then followed.converted
        end as outcome
    from scored
    left join followed
        on
            scored.model = followed.model
            and scored.user_key = followed.user_key
            and scored.as_of = followed.as_of
)

select * from score_history
