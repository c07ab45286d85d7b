{{ config(
    materialized='incremental',
    unique_key=['user_key', 'as_of'],
    meta={
        'region': 'outcomes',
        'or_where':
            '(as_of, one_user_in) not in '
            '(select as_of, one_user_in from intermediate.int_cutoffs where conversion_is_known)',
    },
) }}

{#- As with churn, the end of the data may make known, or unknown, what became of users without a change: the macro adds
    the one, `or_where` takes away the other. -#}

{{ outcomes_of(
    'conversion',
    var('conversion'),
    outcome='count(activity.user_key) > 0 as converted',
    counts='conversions > 0',
) }}
