{# What the rows of a model with `known_from` and `known_until` say at each cutoff, as `as_of` beside its columns, of
   the users whose snapshots are due. #}
{% macro known_at_cutoffs(name) -%}
    select
        due.as_of,
        due.one_user_in,
        known.*
    from {{ ref(name) }} as known
    inner join {{ ref('int_snapshots_due') }} as due
        on
            known.user_key = due.user_key
            and {{ is_seen_at('due.as_of') }}
{%- endmacro %}


{# Whether a row with `known_from` and `known_until` is seen at a cutoff. #}
{% macro is_seen_at(as_of) -%}
    {{ as_of }} > known.known_from
    and {{ as_of }} <= coalesce(known.known_until, cast('9999-12-31' as date))
{%- endmacro %}


{# Whether a cutoff looks at the user of a row with `known_from` and `known_until`, whose place in samples is given, for
   what they did on the day of the row. #}
{% macro is_eligible_at(cutoffs, place) -%}
    known.activity_date >= {{ cutoffs }}.eligible_from
    and {{ is_seen_at(cutoffs ~ '.as_of') }}
    and ({{ cutoffs }}.one_user_in = 1 or {{ place }} % {{ cutoffs }}.one_user_in = 0)
{%- endmacro %}


{# For how many days after an event a user is of interest to any model. #}
{% macro longest_eligibility() -%}
    {{ return([var('churn')['active_within_days'], var('conversion')['active_within_days']] | max) }}
{%- endmacro %}


{# The windows of days that features look back over, by the ending of their names. #}
{% macro windows() -%}
    {{ return({'1d': 1, '7d': 7, '30d': 30, '90d': 90, 'lifetime': none}) }}
{%- endmacro %}


{# An expression where a day lies in a window, else 0. #}
{% macro within(days, expression) -%}
    {%- if days -%}
        case when age_days <= {{ days }} then {{ expression }} else 0 end
    {%- else -%}
        {{ expression }}
    {%- endif -%}
{%- endmacro %}


{# One column a window: the sum of a measure over it. Money is summed before it is a double, so that no order of rows
   matters. #}
{% macro window_sums(measure, name) -%}
    {%- for window, days in windows().items() -%}
        cast(sum({{ within(days, measure) }}) as double) as {{ name }}_{{ window }}{% if not loop.last %},
        {% endif %}
    {%- endfor -%}
{%- endmacro %}


{# The kinds of channel that a user may first have come by, as features tell them apart. #}
{% macro origins() -%}
    {{ return({
        'direct': ['Direct'],
        'organic_search': ['Organic Search', 'Organic Shopping', 'Organic Video'],
        'organic_social': ['Organic Social'],
        'paid_search': ['Paid Search', 'Paid Shopping'],
        'paid_social': ['Paid Social', 'Paid Video'],
        'other_paid': ['Cross-network', 'Display', 'Paid Other'],
        'referral': ['Referral', 'Affiliates'],
        'message': ['Email', 'SMS', 'Mobile Push Notifications'],
    }) }}
{%- endmacro %}
