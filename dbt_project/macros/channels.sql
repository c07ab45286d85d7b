{# The channel of a session with columns source, medium and campaign, all in lower case: what avila.yml declares, else
   the default channel group of Google Analytics 4 (support.google.com/analytics/answer/9756891), in its order. #}
{% macro channel() -%}
    {%- set is_paid = has_match('medium', '^(.*cp.*|ppc|retargeting|paid.*)$') -%}
    {%- set sells = from_site('source', 'shopping') ~ ' or '
        ~ has_match('campaign', '^(.*(([^a-df-z]|^)shop|shopping).*)$') -%}
    case
        {%- for name, condition in var('channels')['rules'].items() %}
        when {{ condition }} then {{ quoted(name) }}
        {%- endfor %}
        when source = '(direct)' and medium in ('(none)', '(not set)') then 'Direct'
        when {{ has_match('campaign', 'cross-network') }} then 'Cross-network'
        when ({{ sells }}) and {{ is_paid }} then 'Paid Shopping'
        when {{ from_site('source', 'search') }} and {{ is_paid }} then 'Paid Search'
        when {{ from_site('source', 'social') }} and {{ is_paid }} then 'Paid Social'
        when {{ from_site('source', 'video') }} and {{ is_paid }} then 'Paid Video'
        when medium in ('display', 'banner', 'expandable', 'interstitial', 'cpm') then 'Display'
        when {{ is_paid }} then 'Paid Other'
        when {{ sells }} then 'Organic Shopping'
        when
            {{ from_site('source', 'social') }}
            or medium in ('social', 'social-network', 'social-media', 'sm', 'social network', 'social media')
            then 'Organic Social'
        when {{ from_site('source', 'video') }} or {{ has_match('medium', 'video') }} then 'Organic Video'
        when {{ from_site('source', 'search') }} or medium = 'organic' then 'Organic Search'
        when medium in ('referral', 'app', 'link') then 'Referral'
        when
            source in ('email', 'e-mail', 'e_mail', 'e mail')
            or medium in ('email', 'e-mail', 'e_mail', 'e mail')
            then 'Email'
        when medium = 'affiliate' then 'Affiliates'
        when medium = 'audio' then 'Audio'
        when source = 'sms' or medium = 'sms' then 'SMS'
        when {{ has_match('medium', 'push$|mobile|notification') }} or source = 'firebase'
            then 'Mobile Push Notifications'
        else 'Unassigned'
    end
{%- endmacro %}


{# Whether a source is a known site of a kind: by its bare name, or by a host of it that serves such visits, in any
   country. mail.google.com is none of search. #}
{% macro from_site(source, kind) -%}
    {%- set names = {
        'search': [
            'google', 'bing', 'yahoo', 'duckduckgo', 'baidu', 'yandex', 'ecosia', 'naver', 'daum', 'seznam', 'sogou',
            'qwant', 'startpage', 'brave', 'kagi', 'ask', 'aol', 'coccoc', 'mojeek', 'swisscows', 'presearch', 'so.com',
            'com.google.android.googlequicksearchbox',
        ],
        'social': [
            'facebook', 'fb', 'fb.me', 'com.facebook.katana', 'messenger', 'instagram', 'ig', 'threads', 'whatsapp',
            'wa.me', 'twitter', 'x', 't.co', 'linkedin', 'lnkd.in', 'com.linkedin.android', 'pinterest', 'pin.it',
            'reddit', 'com.reddit.frontpage', 'tiktok', 'snapchat', 'tumblr', 'telegram', 't.me', 'org.telegram.messenger',
            'vk', 'ok.ru', 'weibo', 'wechat', 'weixin', 'quora', 'discord', 'bsky', 'bluesky', 'mastodon', 'xing',
            'nextdoor', 'line.me', 'news.ycombinator',
        ],
        'video': [
            'youtube', 'youtu.be', 'com.google.android.youtube', 'vimeo', 'twitch', 'dailymotion', 'bilibili', 'youku',
            'iqiyi', 'netflix', 'hulu', 'disneyplus',
        ],
        'shopping': [
            'amazon', 'ebay', 'etsy', 'walmart', 'alibaba', 'aliexpress', 'mercadolivre', 'mercadolibre', 'shopee',
            'rakuten', 'shopping', 'google shopping', 'igshopping', 'shop.app', 'idealo', 'buscape',
        ],
    }[kind] -%}
    {{ has_match(
        source,
        '^((www|m|l|lm|r|out|old|web|mobile|search|html|lite|[a-z]{2})[.])*('
        ~ (names | join('|') | replace('.', '[.]'))
        ~ ')([.][a-z]{2,3}){0,2}$',
    ) }}
{%- endmacro %}


{# The site an address leads to, in lower case and without www; null where it names none. #}
{% macro site_of(address) -%}
    nullif({{ first_match(
        'lower(' ~ address ~ ')', '^(?:[a-z][a-z0-9+.-]*://)?(?:www[.])?([^/?#:@ ]+[.][^/?#:@ ]+)'
    ) }}, '')
{%- endmacro %}


{# Whether a site is one of the analyst's own, or lies below one. #}
{% macro is_own_site(site) -%}
    {%- set own = var('channels')['own_sites'] -%}
    {%- if own -%}
        {{ has_match(site, '(^|[.])(' ~ (own | join('|') | lower | replace('.', '[.]')) ~ ')$') }}
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}


{# The network that a click id in the event's properties, or in an address there, is of: of a paid click. #}
{% macro clicked_ad_of(properties) -%}
    {%- set id = '([?&"]|u0026)({})("[: ]*"[^"]|=[^&"#])' -%}
    case
        when {{ has_match(properties, id | replace('{}', 'gclid|gbraid|wbraid|dclid')) }} then 'google'
        when {{ has_match(properties, id | replace('{}', 'msclkid')) }} then 'bing'
    end
{%- endmacro %}
