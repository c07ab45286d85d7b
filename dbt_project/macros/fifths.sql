{# Which fifth of an as-of date's users each value of a measure lies in, 1 the lowest. The minimum rank decides, so equal
   values always share a score and the smallest value is always in the first fifth. Values are far fewer than users. #}
{% macro fifths(measure) %}
    select
        as_of_date,
        {{ measure }},
        cast(1 + floor(5.0 * (sum(users) over up_to_it - users) / sum(users) over of_the_date) as integer) as fifth
    from (
        select
            as_of_date,
            {{ measure }},
            count(*) as users
        from measures
        group by as_of_date, {{ measure }}
    ) as valued
    window
        up_to_it as (partition by as_of_date order by {{ measure }}),
        of_the_date as (partition by as_of_date)
{% endmacro %}
