{# By as-of date of the relation `measures`, the least value of a measure in its second fifth of the users, in its
   third, fourth and last. The minimum rank decides, so equal values always share a fifth and the smallest value is
   always in the first. Values are far fewer than users. #}
{% macro fifths(measure) %}
    select
        as_of_date,
        {%- for fifth in range(2, 6) %}
        min({{ measure }}) filter (where 5.0 * users_below / all_users >= {{ fifth - 1 }}) as from_{{ fifth }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from (
        select
            as_of_date,
            {{ measure }},
            sum(count(*)) over (partition by as_of_date order by {{ measure }}) - count(*) as users_below,
            sum(count(*)) over (partition by as_of_date) as all_users
        from measures
        group by as_of_date, {{ measure }}
    ) as valued
    group by as_of_date
{% endmacro %}


{# Which fifth a value lies in, 1 the lowest, by what `fifths` found. #}
{% macro fifth_of(value, bounds) -%}
    1
    {%- for fifth in range(2, 6) %}
        + case when {{ value }} >= {{ bounds }}.from_{{ fifth }} then 1 else 0 end
    {%- endfor %}
{%- endmacro %}
