{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'outcomes',
        'or_where':
            '(as_of, one_user_in) not in '
            '(select as_of, one_user_in from intermediate.int_cutoffs where churn_is_known)',
    },
) }}

{#- What became of users with a change, and of visitors who logged in later as one of them, is told anew. The end of the
    data moves on, and back when a file is withdrawn: either may make known, or unknown, what became of users without a
    change. The macro adds what is known and not stored; `or_where` takes away what is no longer known. -#}

{{ outcomes_of('churn', var('churn'), outcome='count(activity.user_key) = 0 as churned') }}
