-- Two sessions of one user are more than a timeout apart.
{{ config(meta={'dagster': {'ref': {'name': 'sessions'}}}) }}
with neighbours as (
    select
        user_key,
        started_at,
        lag(ended_at) over (partition by user_key order by started_at) as previous_ended_at
    from {{ ref('sessions') }}
)

select * from neighbours
where started_at <= {{ add_seconds('previous_ended_at', session_timeout_seconds()) }}
