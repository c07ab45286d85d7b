{# What an event is on a path: the page, where it is a view of one; else its name. #}
{% macro path_step() -%}
    case
        when event_name in ({{ text_list(var('page_view_events')) }}) and page is not null then page
        else event_name
    end
{%- endmacro %}
