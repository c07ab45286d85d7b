{# What became of the users of snapshots, once the horizon lies inside the data: of those who were active lately, by
   what they did in it. A visitor who logged in later is followed as that user.

   Args:
       label: which outcome, by the name that cutoffs and the model have it under.
       declared: its variable. The model names it: fingerprints look for names that are written out.
       outcome: the column that tells it, of a snapshot's rows of `activity` in the horizon.
       counts: which days of activity count, as a condition; by default all.
#}
{% macro outcomes_of(label, declared, outcome, counts=none) -%}
with cutoffs as (
    select * from {{ ref('int_cutoffs') }}
    where {{ label }}_is_known
),

snapshots as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in
    from {{ ref('user_snapshots') }} as snapshots
    inner join cutoffs on snapshots.as_of = cutoffs.as_of
    where
        snapshots.recency_days <= {{ declared['active_within_days'] }}
        and (
            {{ in_region('outcomes', 'snapshots') }}
            {{ or_not_stored('(cutoffs.as_of, cutoffs.one_user_in)', 'as_of, one_user_in') }}
        )
),

activity as (
    select * from {{ ref('int_user_activity') }}
    {%- if counts %}
    where {{ counts }}
    {%- endif %}
),

outcome_keys as (
    select * from {{ ref('int_outcome_keys') }}
),

{{ label }}_outcomes as (
    select
        snapshots.user_key,
        snapshots.as_of,
        snapshots.one_user_in,
        {{ outcome }}
    from snapshots
    inner join outcome_keys on snapshots.user_key = outcome_keys.user_key
    left join activity
        on
            outcome_keys.outcome_key = activity.user_key
            and snapshots.as_of <= activity.activity_date
            and {{ add_days('snapshots.as_of', declared['horizon_days']) }} > activity.activity_date
    group by snapshots.user_key, snapshots.as_of, snapshots.one_user_in
)

select * from {{ label }}_outcomes
{%- endmacro %}
