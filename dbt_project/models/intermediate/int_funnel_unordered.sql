{{ config(materialized='ephemeral') }}

{#- From each entry, the fills that come within the window, in the order they come. -#}

with counted as (
    select * from {{ ref('int_funnel_mask_counts') }}
),

conditions as (
    select * from {{ ref('int_funnel_fill_conditions') }}
),

entries as (
    select
        funnel,
        user_key,
        event_ts as entered_at,
        activity_date as entry_date,
        mask,
        min(nth - cast(is_match as integer)) as matched_before
    from counted
    group by funnel, user_key, event_ts, activity_date, mask
),

waits as (
    select
        entries.funnel,
        entries.user_key,
        entries.entered_at,
        entries.entry_date,
        conditions.window_seconds,
        conditions.competing_group,
        conditions.filled,
        max(counted.event_ts) as filled_at,
        count(*) = count(counted.event_ts) as is_filled
    from entries
    inner join conditions
        on
            entries.funnel = conditions.funnel
            and entries.mask = conditions.mask
    left join counted
        on
            entries.funnel = counted.funnel
            and entries.user_key = counted.user_key
            and entries.mask = counted.mask
            and counted.is_match
            and entries.matched_before + conditions.nth = counted.nth
    group by
        entries.funnel,
        entries.user_key,
        entries.entered_at,
        entries.entry_date,
        conditions.window_seconds,
        conditions.competing_group,
        conditions.filled
),

filled as (
    select
        *,
        cast(row_number() over (
            partition by funnel, user_key, entered_at
            order by filled_at, competing_group, filled
        ) as integer) as step_number
    from waits
    where is_filled and filled_at <= {{ add_seconds('entered_at', 'window_seconds') }}
),

unordered as (
    select
        funnel,
        user_key,
        entered_at,
        entry_date,
        1 as first_run,
        max(step_number) as precedence,
        max(filled_at) as last_step_at,
        max({{ add_seconds('entered_at', 'window_seconds') }}) as ends_at,
        {{ ordered_list('filled_at', 'step_number') }} as step_times
    from filled
    group by funnel, user_key, entered_at, entry_date
)

select * from unordered
