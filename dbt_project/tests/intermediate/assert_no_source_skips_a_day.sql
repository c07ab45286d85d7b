-- A day without events, where its weekday has usually had some, is most likely a dump that never arrived.
-- Only the last four weeks are looked at, so that an old gap does not warn for ever; sources of a few events a day are
-- left out, as they have such days by chance.
{{ config(
    severity=gate_severity('volume'),
    meta={
        'cure': 'Load the dumps that are missing. `gates: {volume: …}` says whether such days block.',
        'dagster': {'ref': {'name': 'int_source_days'}},
    },
) }}
select source_days.*
from {{ ref('int_source_days') }} as source_days
inner join {{ ref('int_data_span') }} as span
    on {{ add_days('span.last_date', -28) }} < source_days.day
where
    source_days.weeks_known >= 4
    and source_days.usual_events >= 5
    and source_days.events = 0
