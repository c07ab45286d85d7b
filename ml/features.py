"""The behavioural features both models read, with the words used to explain them."""

from ml.spec import Feature, Style

_WINDOWS = {
    "7d": "in the last 7 days",
    "30d": "in the last 30 days",
    "90d": "in the last 90 days",
    "lifetime": "in all",
}


def _windows(stem: str, phrase: str, *, theme: str, style: Style = "count") -> tuple[Feature, ...]:
    """The same quantity over each window; a count in a window never exceeds that in the next wider one."""
    wider = dict(zip(_WINDOWS, list(_WINDOWS)[1:], strict=False))
    return tuple(
        Feature(
            name=f"{stem}_{window}",
            phrase=f"{phrase} {words}",
            theme=theme,
            style=style,
            # Refunds make revenue negative, so neither law holds for money.
            minimum=None if style == "money" else 0.0,
            within=f"{stem}_{wider[window]}" if style != "money" and window in wider else None,
        )
        for window, words in _WINDOWS.items()
    )


BEHAVIOUR: tuple[Feature, ...] = (
    Feature(
        name="recency_days",
        phrase="{n} day{s} since the last activity",
        theme="recency",
        style="days",
        required=True,
    ),
    Feature(name="tenure_days", phrase="first seen {n} day{s} ago", theme="tenure", style="days"),
    Feature(
        name="days_since_key_event",
        phrase="{n} day{s} since the last key event",
        theme="key events",
        style="days",
        absent="no key event yet",
    ),
    *_windows("events", "{n} event{s}", theme="activity"),
    *_windows("active_days", "{n} active day{s}", theme="activity"),
    Feature(name="page_views_30d", phrase="{n} page view{s} in the last 30 days", theme="activity"),
    *_windows("key_events", "{n} key event{s}", theme="key events"),
    *_windows("revenue", "revenue of {n}", theme="revenue", style="money"),
    Feature(
        name="mean_gap_days",
        phrase="{n} day{s} between active days on average",
        theme="rhythm",
        style="days",
        absent="active on one day only",
    ),
    Feature(
        name="trend_30d",
        phrase="{n} times the activity of the 30 days before",
        theme="trend",
        style="ratio",
    ),
    Feature(
        name="weekend_share",
        phrase="{n} of activity at weekends",
        theme="habit",
        style="share",
        maximum=1.0,
    ),
)
