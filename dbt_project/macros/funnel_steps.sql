{# Whether an event, by its columns, matches a declared step. #}
{% macro matches_step(step) -%}
    (
        {%- if step['event'] %}event_name = {{ quoted(step['event']) }}{% else %}true{% endif %}
        {%- if step['where'] %} and ({{ step['where'] }}){% endif -%}
    )
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
   (J. London Math. Soc. 10, 1935), every set of the steps must find as many events that match any of them. #}
{% macro can_fill(steps) -%}
    {%- for subset in competing_subsets(steps) -%}
        count(*) filter (where matches & {{ subset['mask'] }} != 0) >= {{ subset['size'] }}
        {%- if not loop.last %} and {% endif -%}
    {%- endfor -%}
{%- endmacro %}
