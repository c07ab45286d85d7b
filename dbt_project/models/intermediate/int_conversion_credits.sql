{{ config(
    materialized='incremental',
    unique_key=['session_id', 'activity_date', 'key_event', 'model', 'channel'],
    meta={'region': 'sessions', 'moment': 'session_started_at'},
) }}

{%- set models = ['first', 'last_non_direct', 'linear', 'position_based'] %}

with conversions as (
    select
        session_id,
        activity_date,
        key_event,
        count(*) as key_events,
        sum(revenue) as revenue
    from {{ ref('int_key_events') }} as key_events
    where {{ in_region('sessions', 'key_events', 'session_started_at') }}
    group by session_id, activity_date, key_event
),

channels as (
    select
        session_id,
        user_key,
        session_started_at,
        {%- for model in models %}
        cast(sum({{ model }}_credit) as integer) as {{ model }}_credit,
        {%- endfor %}
        channel
    from {{ ref('int_conversion_touches') }} as touches
    where {{ in_region('sessions', 'touches', 'session_started_at') }}
    group by session_id, user_key, session_started_at, channel
),

credits as (
    {%- for model in models %}
    select
        session_id,
        user_key,
        session_started_at,
        {{ quoted(model) }} as model,
        channel,
        {{ model }}_credit as credit
    from channels
    where {{ model }}_credit > 0
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

running as (
    select
        *,
        cast(sum(credit) over (
            partition by session_id, model
            order by channel
            rows between unbounded preceding and current row
        ) as integer) as credit_until
    from credits
),

shares as (
    select
        *,
        cast(0.000001 * credit as decimal(7, 6)) as share,
        cast(0.000001 * credit_until as decimal(7, 6)) as share_until,
        cast(0.000001 * (credit_until - credit) as decimal(7, 6)) as share_before
    from running
),

conversion_credits as (
    select
        shares.session_id,
        shares.user_key,
        shares.session_started_at,
        conversions.activity_date,
        conversions.key_event,
        shares.model,
        shares.channel,
        cast(conversions.key_events * shares.share as decimal(18, 6)) as key_events,
        -- A product of eighteen digits and seven is kept in eighteen, unless one of them has more.
        cast(
            round(cast(conversions.revenue as decimal(28, 4)) * shares.share_until, 4)
            - round(cast(conversions.revenue as decimal(28, 4)) * shares.share_before, 4) as decimal(18, 4)
        ) as revenue
    from shares
    inner join conversions on shares.session_id = conversions.session_id
)

select * from conversion_credits
