select
    {{ canonical_event_columns() | join(',\n    ') }}
from {{ lake_events() }}
