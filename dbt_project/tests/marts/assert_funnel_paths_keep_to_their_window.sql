-- Step times never go back, and the last is at most a window after the first.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_users'}}}) }}
select funnel_users.*
from {{ ref('funnel_users') }} as funnel_users
inner join {{ ref('int_funnels_declared') }} as declared
    on
        funnel_users.funnel = declared.funnel
        and declared.step_number = 1
where
    {{ list_element('funnel_users.step_times', 'funnel_users.steps_completed') }}
    > {{ add_seconds('funnel_users.entered_at', 'declared.window_seconds') }}
    or {{ list_element('funnel_users.step_times', 1) }} != funnel_users.entered_at
