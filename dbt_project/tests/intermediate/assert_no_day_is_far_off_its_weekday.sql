-- A third or three times of what the weekday usually brings is rarely behaviour: a dump is cut, or loaded under two
-- names. The last day of the data is left out, as it is seldom over; so are sources of a few events a day.
{{ config(
    severity=gate_severity('volume'),
    meta={
        'cure': 'Load the dumps of these days again. `gates: {volume: …}` says whether such days block.',
        'dagster': {'ref': {'name': 'int_source_days'}},
    },
) }}
select source_days.*
from {{ ref('int_source_days') }} as source_days
inner join {{ ref('int_data_span') }} as span
    on
        source_days.day > {{ add_days('span.last_date', -28) }}
        and source_days.day < span.last_date
where
    source_days.weeks_known >= 4
    and source_days.usual_events >= 30
    and source_days.events > 0
    and (
        source_days.events > 3 * source_days.usual_events
        or source_days.events < source_days.usual_events / 3
    )
