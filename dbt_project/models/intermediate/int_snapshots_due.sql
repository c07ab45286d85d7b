{{ config(materialized='ephemeral') }}

{#- Who is looked at is told by few columns and recent days; only of them is all read that was known. In an increment,
    those are the users with a change, at all cutoffs, and the others at those of which nothing, or another share of the
    users, is stored: most nights at now alone, which looks at every user. -#}

{%- set snapshots = stored('user_snapshots', 'features') %}
{%- set is_touched = in_region('users', 'known', anew=not snapshots) %}

with cutoffs as (
    select
        as_of,
        one_user_in,
        {{ add_days('as_of', -longest_eligibility()) }} as eligible_from
    from {{ ref('int_cutoffs') }}
),

days as (
    select * from {{ ref('int_user_days_known') }}
),

{% if snapshots -%}
new_cutoffs as (
    select * from cutoffs
    where (as_of, one_user_in) not in (select distinct as_of, one_user_in from {{ snapshots }})
),

{% endif -%}
due as (
    select
        known.user_key,
        cutoffs.as_of,
        cutoffs.one_user_in
    from (
        select known.*, {{ place_in_sample('user_key') }} as place from days as known
        where {{ is_touched }}
    ) as known
    inner join cutoffs on {{ is_eligible_at('cutoffs', 'known.place') }}
    {%- if snapshots %}
    union all
    select
        known.user_key,
        new_cutoffs.as_of,
        new_cutoffs.one_user_in
    from days as known
    inner join new_cutoffs on {{ is_eligible_at('new_cutoffs', place_in_sample('known.user_key')) }}
    where known.activity_date >= (select min(new_cutoffs.eligible_from) from new_cutoffs)
    {%- endif %}
),

snapshots_due as (
    select distinct
        user_key,
        as_of,
        one_user_in
    from due
)

select * from snapshots_due
