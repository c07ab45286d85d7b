"""The marts as others would make them, each by its own idioms, from the same Parquet file of identified events.

A function makes the mart of its name and returns those of its columns that are worked out; ``marts.py`` says which.
None looks up ties between simultaneous events: the benchmark's histories have none that matter.
"""

ZONE = "America/Sao_Paulo"
TIMEOUT_SECONDS = 1800
KEY_EVENT = "purchase"
FUNNEL = ("view_item", "add_to_cart", "begin_checkout", "purchase")
WINDOW_SECONDS = 168 * 3600
LOOKBACK_DAYS = 30
GRAINS = {"day": "1d", "week": "1w", "month": "1mo"}
WINDOWS = {"7d": 7, "30d": 30, "90d": 90, "lifetime": 10_000}
"""Days before a snapshot that its measures look back."""
ELIGIBLE_DAYS = 90
"""For so long after an event a user has a snapshot."""
