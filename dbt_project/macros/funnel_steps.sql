{# Whether an event, by its columns, matches a declared step or exclusion. #}
{% macro matches_step(step) -%}
    (
        {%- if step['event'] %}event_name = {{ quoted(step['event']) }}{% else %}true{% endif %}
        {%- if step['where'] %} and ({{ step['where'] }}){% endif -%}
    )
{%- endmacro %}


{# The funnels whose steps come in an order. #}
{% macro funnels_in_order() -%}
    {{ return(var('funnels') | rejectattr('order', 'equalto', 'unordered') | list) }}
{%- endmacro %}


{# The funnels with any of an option: `optional` steps, `exclusions`, a `breakdown`, or some semantics. #}
{% macro funnels_with(option) -%}
    {%- set found = [] -%}
    {%- for funnel in var('funnels') -%}
        {%- set has = funnel['steps'] | selectattr('optional') | list if option == 'optional'
            else funnel[option] if option in funnel else funnel['semantics'] == option -%}
        {%- if has %}{% do found.append(funnel) %}{% endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# The steps of a funnel that may not be skipped. The models count along them, and turn to the declared places last. #}
{% macro path_steps(funnel) -%}
    {{ return(funnel['steps'] | rejectattr('optional') | list) }}
{%- endmacro %}


{# How many steps the longest path of a funnel in order has. #}
{% macro longest_path() -%}
    {%- set lengths = [1] -%}
    {%- for funnel in funnels_in_order() %}{% do lengths.append(path_steps(funnel) | length) %}{% endfor -%}
    {{ return(lengths | max) }}
{%- endmacro %}


{# How many exclusions the funnel with most of them has. #}
{% macro most_exclusions() -%}
    {%- set numbers = [0] -%}
    {%- for funnel in var('funnels') %}{% do numbers.append(funnel['exclusions'] | length) %}{% endfor -%}
    {{ return(numbers | max) }}
{%- endmacro %}


{# Steps grouped so that one event can only match steps of the same group: steps on different events never
   compete for an event. A step on any event competes with all. #}
{% macro competing_steps(steps) -%}
    {%- set any_event = steps | selectattr('event', 'none') | list -%}
    {%- if any_event -%}
        {{ return([steps]) }}
    {%- endif -%}
    {%- set groups = [] -%}
    {%- for _, group in steps | groupby('event') -%}
        {%- do groups.append(group | list) -%}
    {%- endfor -%}
    {{ return(groups) }}
{%- endmacro %}


{# Every non-empty set of steps that compete for events, as {size, of, mask}: `mask` has the bits of its steps,
   `of` is the size of the group it is taken from. #}
{% macro competing_subsets(steps) -%}
    {%- set subsets = [] -%}
    {%- for group in competing_steps(steps) -%}
        {%- set group_number = loop.index -%}
        {%- for choice in range(1, 2 ** (group | length)) -%}
            {%- set chosen = [] -%}
            {%- for step in group -%}
                {%- if (choice // 2 ** loop.index0) % 2 -%}
                    {%- do chosen.append(2 ** (step['number'] - 1)) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- do subsets.append({
                'group': group_number, 'of': group | length, 'size': chosen | length, 'mask': chosen | sum,
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(subsets) }}
{%- endmacro %}


{# Whether a group of simultaneous events can fill a run of steps, one event each: by Hall's marriage theorem
   (J. London Math. Soc. 10, 1935), every set of the steps must find as many events that match any of them. To
   ClickHouse's windowFunnel one event may fill them all. #}
{% macro can_fill(funnel, steps) -%}
    {%- for subset in competing_subsets(steps) if funnel['semantics'] != 'clickhouse' or subset['size'] == 1 -%}
        count(*) filter (where matches & {{ subset['mask'] }} != 0) >= {{ subset['size'] }}
        {%- if not loop.last %} and {% endif -%}
    {%- endfor -%}
{%- endmacro %}


{# Whether an event fills several steps by itself, as it may to ClickHouse's windowFunnel. #}
{% macro fills_several(row) -%}
    {%- set names = funnels_with('clickhouse') | map(attribute='name') | list -%}
    {%- if names -%}
    ({{ row }}.funnel in ({{ text_list(names) }}) and {{ row }}.matches & ({{ row }}.matches - 1) != 0)
    {%- else -%}
    false
    {%- endif -%}
{%- endmacro %}


{# Whether an event may begin a path: matches the first step, or any where they come in any order. #}
{% macro matches_first_step(funnel) -%}
    {%- set steps = funnel['steps'] if funnel['order'] == 'unordered' else funnel['steps'][:1] -%}
    (
        {%- for step in steps -%}
        {{ matches_step(step) }}
        {%- if not loop.last %} or {% endif -%}
        {%- endfor -%}
    )
{%- endmacro %}


{# What steps and exclusions ask of an event, each once, as {number, event, where} by (event, where). Those who need it
   look it up once and hand it on. #}
{% macro funnel_conditions() -%}
    {%- set conditions = {} -%}
    {%- for funnel in var('funnels') -%}
        {%- for asked in funnel['steps'] + funnel['exclusions'] -%}
            {%- do conditions.setdefault((asked['event'], asked.get('where')), {
                'number': conditions | length + 1, 'event': asked['event'], 'where': asked.get('where'),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(conditions) }}
{%- endmacro %}


{# The numbers of the conditions that paths wait for: of later steps and of exclusions. A strict path goes on at the
   next instant, whatever comes. #}
{% macro awaited_conditions(conditions) -%}
    {%- set numbers = [] -%}
    {%- for funnel in var('funnels') if funnel['order'] == 'ordered' -%}
        {%- for asked in path_steps(funnel)[1:] + funnel['exclusions'] -%}
            {%- do numbers.append(conditions[(asked['event'], asked.get('where'))]['number']) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(numbers | unique | list) }}
{%- endmacro %}


{# By how many steps of a path are filled, the number of the condition that it waits for; null where it waits for none.
   The first, that of a path not begun, is none. #}
{% macro awaited_in_turn(funnel, conditions) -%}
    {%- set numbers = ['null'] -%}
    {%- for step in path_steps(funnel)[1:] -%}
        {%- set number = conditions[(step['event'], step.get('where'))]['number'] -%}
        {%- do numbers.append(number if funnel['order'] == 'ordered' else 'null') -%}
    {%- endfor -%}
    {{ return(numbers + ['null']) }}
{%- endmacro %}


{# By the exclusions of a funnel, the numbers of their conditions; null for as many more as the funnel with most has. #}
{% macro excluded_in_turn(funnel, conditions, most) -%}
    {%- set numbers = [] -%}
    {%- for exclusion in funnel['exclusions'] -%}
        {%- do numbers.append(conditions[(exclusion['event'], exclusion.get('where'))]['number']) -%}
    {%- endfor -%}
    {{ return(numbers + ['null'] * (most - numbers | length)) }}
{%- endmacro %}


{# The bits of the steps and exclusions of a funnel that an event matches, by the conditions that it meets. #}
{% macro funnel_matches(funnel, conditions) -%}
    {%- set bits = [] -%}
    {%- for asked in funnel['steps'] + funnel['exclusions'] -%}
        {%- set condition = conditions[(asked['event'], asked.get('where'))] -%}
        {%- do bits.append('case when condition_' ~ condition['number'] ~ ' then ' ~ 2 ** loop.index0 ~ ' else 0 end') -%}
    {%- endfor -%}
    cast({{ bits | join(' + ') }} as bigint)
{%- endmacro %}


{# The names of funnels, and beside them what an event matches of each; a list of none has a type all the same. #}
{% macro funnel_names(funnels) -%}
    {%- set names = [] -%}
    {%- for funnel in funnels %}{% do names.append(quoted(funnel['name'])) %}{% endfor -%}
    {{ return(names or ['cast(null as ' ~ dbt.type_string() ~ ')']) }}
{%- endmacro %}


{# A funnel's name, kept as its place among the names until its entries are chosen: rows are sorted and joined by it. #}
{% macro as_funnel(name) -%}
    {{ return(one_of(name, var('funnels') | map(attribute='name') | list)) }}
{%- endmacro %}


{# What an event matches of each of some funnels, in the order of their names. #}
{% macro matches_by_funnel(funnels, conditions) -%}
    {%- set matches = [] -%}
    {%- for funnel in funnels %}{% do matches.append(funnel_matches(funnel, conditions)) %}{% endfor -%}
    {{ return(matches or ['cast(0 as bigint)']) }}
{%- endmacro %}


{# Of each funnel whose steps come in an order, its name and what an event matches of it, as two columns. #}
{% macro each_in_order() -%}
    {%- set in_order = funnels_in_order() -%}
    {%- if in_order | length == 1 -%}
    {{ as_funnel(quoted(in_order[0]['name'])) }} as funnel,
        {{ list_element('matches', 1) }} as matches
    {%- else -%}
    {{ as_funnel(each_of(list_of(funnel_names(in_order)))) }} as funnel,
        {{ each_of('matches') }} as matches
    {%- endif -%}
{%- endmacro %}
