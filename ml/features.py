"""The behavioural features both models read, with the words used to explain them."""

from ml.spec import Feature, Style

_WINDOWS = {
    "1d": "in the last day",
    "7d": "in the last 7 days",
    "30d": "in the last 30 days",
    "90d": "in the last 90 days",
    "lifetime": "in all",
}


def _windows(stem: str, phrase: str, *, theme: str, style: Style = "count") -> tuple[Feature, ...]:
    """The same quantity over each window; in a window it never exceeds that in the next wider one."""
    wider = dict(zip(_WINDOWS, list(_WINDOWS)[1:], strict=False))
    return tuple(
        Feature(
            name=f"{stem}_{window}",
            phrase=f"{phrase} {words}",
            theme=theme,
            style=style,
            # Refunds make revenue negative, so neither law holds for money.
            minimum=None if style == "money" else 0.0,
            maximum=1.0 if style == "share" else None,
            within=f"{stem}_{wider[window]}" if style != "money" and window in wider else None,
            grows=window == "lifetime",
        )
        for window, words in _WINDOWS.items()
    )


def _origins(**words: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            name=f"came_by_{origin}",
            phrase=f"first came {phrase}",
            otherwise=f"did not first come {phrase}",
            theme="origin",
            style="flag",
            maximum=1.0,
        )
        for origin, phrase in words.items()
    )


def _habits(**words: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(name=f"{habit}_share", phrase=f"{{n}} of activity {phrase}", theme="habit", style="share", maximum=1.0)
        for habit, phrase in words.items()
    )


BEHAVIOUR: tuple[Feature, ...] = (
    Feature(
        name="recency_days",
        phrase="{n} day{s} since the last activity",
        theme="recency",
        style="days",
        required=True,
    ),
    Feature(name="tenure_days", phrase="first seen {n} day{s} ago", theme="tenure", style="days", grows=True),
    Feature(
        name="days_since_key_event",
        phrase="{n} day{s} since the last key event",
        theme="key events",
        style="days",
        absent="no key event yet",
        grows=True,
    ),
    *_windows("events", "{n} event{s}", theme="activity"),
    *_windows("visits", "{n} visit{s}", theme="activity"),
    *_windows("active_days", "{n} active day{s}", theme="activity"),
    Feature(name="page_views_30d", phrase="{n} page view{s} in the last 30 days", theme="activity"),
    *_windows("key_events", "{n} key event{s}", theme="key events"),
    *_windows("revenue", "revenue of {n}", theme="revenue", style="money"),
    Feature(
        name="revenue_per_key_event",
        phrase="revenue of {n} per key event",
        theme="revenue",
        style="money",
        minimum=None,
        absent="no key event yet",
    ),
    *_windows("funnel_depth", "{n} of the way through a funnel", theme="funnel", style="share"),
    Feature(
        name="mean_gap_days",
        phrase="{n} day{s} between active days on average",
        theme="rhythm",
        style="days",
        absent="active on one day only",
    ),
    Feature(
        name="silence_ratio",
        phrase="silent for {n} times the usual gap",
        theme="rhythm",
        style="ratio",
        absent="active on one day only",
    ),
    Feature(
        name="trend_7d",
        phrase="{n} times the activity of the 7 days before",
        theme="trend",
        style="ratio",
    ),
    Feature(
        name="trend_30d",
        phrase="{n} times the activity of the 30 days before",
        theme="trend",
        style="ratio",
    ),
    Feature(name="events_per_visit", phrase="{n} events a visit", theme="depth", style="ratio"),
    Feature(name="items_lifetime", phrase="{n} different item{s} seen", theme="breadth", grows=True),
    Feature(name="new_items_30d", phrase="{n} new item{s} in the last 30 days", theme="breadth"),
    Feature(name="pages_lifetime", phrase="{n} different page{s} seen", theme="breadth", grows=True),
    Feature(name="platforms_lifetime", phrase="{n} platform{s} used", theme="breadth", grows=True),
    *_habits(weekend="at weekends", night="at night", morning="in the morning", evening="in the evening"),
    *_origins(
        direct="by themselves",
        organic_search="by a search",
        organic_social="by a social network",
        paid_search="by a search advertisement",
        paid_social="by an advertisement in a social network",
        other_paid="by another advertisement",
        referral="by a link on another site",
        message="by an e-mail or a message",
    ),
)
