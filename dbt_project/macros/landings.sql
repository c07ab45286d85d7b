{# The source of a visit, in lower case: its campaign's, if it has any; else that of a clicked ad, else of the site that
   referred it, else none. #}
{% macro visit_source() -%}
    case when has_campaign then lower(utm_source) else coalesce(ad_network, referrer_site, '(direct)') end
{%- endmacro %}


{# The medium of a visit, likewise. #}
{% macro visit_medium() -%}
    case
        when has_campaign then lower(utm_medium)
        when ad_network is not null then 'cpc'
        when {{ from_site('referrer_site', 'search') }} then 'organic'
        when referrer_site is not null then 'referral'
        else '(none)'
    end
{%- endmacro %}


{# The site that referred an event, where it is none of the analyst's own. #}
{% macro referring_site() -%}
    case when not {{ is_own_site(site_of('referrer')) }} then {{ site_of('referrer') }} end
{%- endmacro %}
