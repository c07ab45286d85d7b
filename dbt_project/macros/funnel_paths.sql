{# Until when a path may go on: its window's end, or the first excluded event if that comes before. #}
{% macro may_go_on_until(hop) -%}
    {%- if most_exclusions() -%}
    least(
        {{ hop }}.expires_at
        {%- for number in range(1, most_exclusions() + 1) %}, {{ hop }}.excluded_{{ number }}_at{% endfor -%}
    )
    {%- else -%}
    {{ hop }}.expires_at
    {%- endif -%}
{%- endmacro %}


{# When the first event comes that an exclusion forbids until its last step is reached, as a path stands after a hop.

   Args:
       number: of the exclusion, from 1 on.
       earlier: the path before the hop, which it may not have made; none at the first.
#}
{% macro excluded_at(number, earlier=none) -%}
    {%- set earlier_at = earlier ~ '.excluded_' ~ number ~ '_at' -%}
    case {{ earlier or 'moments' }}.funnel
        {%- for funnel in funnels_with('exclusions') %}
        {%- for exclusion in funnel['exclusions'] if exclusion['number'] == number %}
        when {{ quoted(funnel['name']) }} then
            case
                when moments.to_step >= {{ exclusion['last'] }} then cast(null as timestamp)
                when moments.from_step <= {{ exclusion['first'] }} and moments.to_step >= {{ exclusion['first'] }}
                    then moments.excluded_{{ number }}_at
                {%- if earlier %}
                else {{ earlier_at }}
                {%- endif %}
            end
        {%- endfor %}
        {%- endfor %}
    end
{%- endmacro %}


{# What a user's paths are chosen by, the greatest first: by default, how deep they lead. Mixpanel takes the first
   entry, however deep it leads. PostHog looks at how deep a path would have led, one step past an excluded event if
   that is taken all the same, and prefers one without such an event; a user whose best path has one is nobody. Of
   paths that meet at a step, it goes on with the one last entered. #}
{% macro precedence(hop) -%}
    {%- set goes_on = 'coalesce(' ~ hop ~ '.next_at <= ' ~ hop ~ '.ends_at, false)' -%}
    {%- set meetings = [] -%}
    {%- for number in range(1, most_exclusions() + 1) -%}
        {%- do meetings.append('coalesce(' ~ hop ~ '.excluded_' ~ number ~ '_at <= ' ~ hop ~ '.expires_at, false)') -%}
    {%- endfor -%}
    {%- set meets_exclusion = '(' ~ meetings | join(' or ') ~ ')' -%}
    {%- if funnels_with('mixpanel') or funnels_with('posthog') -%}
    case
        {%- for funnel in funnels_with('mixpanel') %}
        when {{ hop }}.funnel = {{ quoted(funnel['name']) }} then case when {{ goes_on }} then -1 else 0 end
        {%- endfor %}
        {%- for funnel in funnels_with('posthog') %}
        when {{ hop }}.funnel = {{ quoted(funnel['name']) }} then
            case
                when {{ hop }}.entered_at < max({{ hop }}.entered_at) over (
                    partition by {{ hop }}.funnel, {{ hop }}.user_key, {{ hop }}.last_step_at, {{ hop }}.steps_completed
                )
                    then -1
                {%- if funnel['exclusions'] %}
                when not {{ goes_on }} and {{ meets_exclusion }} and {{ hop }}.next_at <= {{ hop }}.expires_at
                    then 2 * {{ hop }}.steps_completed + 2
                when not {{ goes_on }} and {{ meets_exclusion }} then 2 * {{ hop }}.steps_completed
                {%- endif %}
                else 2 * {{ hop }}.steps_completed + 1
            end
        {%- endfor %}
        else {{ hop }}.steps_completed
    end
    {%- else -%}
    {{ hop }}.steps_completed
    {%- endif -%}
{%- endmacro %}


{# Whether PostHog would leave the user out of the funnel altogether, by what `precedence` gave. #}
{% macro is_left_out(row) -%}
    {%- set names = [] -%}
    {%- for funnel in funnels_with('posthog') if funnel['exclusions'] %}{% do names.append(funnel['name']) %}{% endfor -%}
    {%- if names -%}
    ({{ row }}.funnel in ({{ text_list(names) }}) and {{ row }}.precedence % 2 = 0)
    {%- else -%}
    false
    {%- endif -%}
{%- endmacro %}


{# The label of a value that a funnel is broken down by. What is no value, and what would be taken for another label,
   stays apart. #}
{% macro breakdown_label(value) -%}
    case
        when {{ value }} is null then 'null'
        when {{ value }} in ('all', 'other', 'null') then '"' || {{ value }} || '"'
        else {{ value }}
    end
{%- endmacro %}


{# The value that a label stands for. #}
{% macro labelled_value(label) -%}
    {%- set bare = "replace(" ~ label ~ ", '\"', '')" -%}
    case when {{ label }} = {{ breakdown_label(bare) }} then {{ bare }} else {{ label }} end
{%- endmacro %}


{# Whether some paths end before their window does, or need to know when it ends. #}
{% macro paths_may_end_early() -%}
    {{ return((funnels_with('exclusions') + funnels_with('optional')) | length > 0) }}
{%- endmacro %}


{# When a path's chance to go on ends: an entry knows it where that may be before its window's end. #}
{% macro path_ends_at(entry, declared) -%}
    {%- if paths_may_end_early() -%}
    {{ entry }}.ends_at
    {%- else -%}
    {{ add_seconds(entry ~ '.entered_at', declared ~ '.window_seconds') }}
    {%- endif -%}
{%- endmacro %}


{# The optional steps of the funnels, each as {funnel, name, step, after, chain}: its funnel; a name for it in SQL; how
   many steps that may not be skipped come before it; the optional steps between those and it. #}
{% macro optional_steps() -%}
    {%- set found = [] -%}
    {%- for funnel in funnels_with('optional') -%}
        {%- set funnel_number = loop.index -%}
        {%- set place = namespace(after=0, chain=[]) -%}
        {%- for step in funnel['steps'] -%}
            {%- if step['optional'] -%}
                {%- do found.append({
                    'funnel': funnel, 'step': step, 'after': place.after, 'chain': place.chain,
                    'name': 'optional_' ~ funnel_number ~ '_' ~ step['number'],
                }) -%}
                {%- set place.chain = place.chain + [found | last] -%}
            {%- else -%}
                {%- set place.after = place.after + 1 -%}
                {%- set place.chain = [] -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# The bits of some steps. #}
{% macro step_mask(steps) -%}
    {%- set bits = [0] -%}
    {%- for step in steps %}{% do bits.append(2 ** (step['number'] - 1)) %}{% endfor -%}
    {{ return(bits | sum) }}
{%- endmacro %}


{# The label of a user's value, for a funnel that is broken down by a column of users. #}
{% macro user_label(funnel) -%}
    {{ breakdown_label('cast(users.' ~ funnel['breakdown']['user_column'] ~ ' as ' ~ dbt.type_string() ~ ')') }}
{%- endmacro %}


{# The columns that the steps are counted from, under a label. #}
{% macro labelled_columns(entries, label) -%}
    {{ entries }}.funnel,
        {{ entries }}.entry_grain,
        {{ entries }}.entry_period,
        {{ label }} as breakdown,
        {{ entries }}.entered_at,
        {{ entries }}.steps_completed,
        {%- if paths_may_end_early() %}
        {{ entries }}.ends_at,
        {%- endif %}
        {{ entries }}.step_times
{%- endmacro %}


{# Beside the region: the rows of funnels whose commonest values have changed. #}
{% macro in_touched_funnels(touched) -%}
    {%- if funnels_with('breakdown') -%}
    funnel in (select touched.funnel from {{ touched }} as touched)
    {%- endif -%}
{%- endmacro %}


{# The label that a user is counted under: of a value that is none of the commonest, other. #}
{% macro counted_label() -%}
    case when valued.value_label = 'null' then 'null' else coalesce(breakdowns.breakdown, 'other') end
{%- endmacro %}


{# Beside the region: the users of funnels that are broken down by what time may change without an event of theirs. #}
{% macro or_broken_down_by_user() -%}
    {%- set by_user = funnels_with('breakdown') | selectattr('breakdown.user_column') | map(attribute='name') | list -%}
    {%- if by_user -%}
    or funnel in ({{ text_list(by_user) }})
    {%- endif -%}
{%- endmacro %}


{# The attempts, beside what other relations know of them. #}
{% macro from_attempts(others) -%}
    from attempts
    {%- for other in others %}
    left join {{ other }}
        on
            attempts.funnel = {{ other }}.funnel
            and attempts.user_key = {{ other }}.user_key
            and attempts.entry_date = {{ other }}.entry_date
    {%- endfor -%}
{%- endmacro %}


{# Whether an event comes after the optional steps before it, or at their instant but cannot be theirs. #}
{% macro comes_after(chain) -%}
    true
    {%- for earlier in chain %}
    and (
        {{ earlier['name'] }}.filled_at is null
        or step_events.event_ts > {{ earlier['name'] }}.filled_at
        or (
            step_events.event_ts = {{ earlier['name'] }}.filled_at
            and step_events.matches & {{ step_mask([earlier['step']]) }} = 0
        )
    )
    {%- endfor -%}
{%- endmacro %}
