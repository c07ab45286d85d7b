"""Feature snapshots drawn from a known law, so that the best achievable is known too."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.churn import CHURN

WINDOWS = ("1d", "7d", "30d", "90d", "lifetime")
BREADTH = ("items", "pages", "platforms")
ORIGINS = [name for name in CHURN.feature_names if name.startswith("came_by_")]
NOW = np.datetime64("2024-06-03")


def snapshots(
    *,
    label: str,
    users: int = 400,
    cutoffs: int = 24,
    horizon_days: int = 14,
    seed: int = 0,
    signal: float = 1.0,
) -> pd.DataFrame:
    """Weekly snapshots with every feature of `ml.features` and the true probability of the label.

    The log-odds of `churned` are `signal` times a sum of a term in recency, one in activity and their
    interaction; those of `converted` have the opposite sign. Dates whose horizon passes `NOW` are unlabelled.
    """
    rng = np.random.default_rng(seed)
    days = NOW - 7 * np.arange(cutoffs)[::-1]
    rows = users * cutoffs
    activity = np.tile(rng.gamma(1.5, 1.0, users), cutoffs)
    recency = np.floor(rng.exponential(12.0, rows)).clip(0, 89)

    def windows(rate: float) -> list[np.ndarray]:
        steps = [rng.poisson(rate * activity * share) for share in (0.1, 0.3, 0.7, 1.0, 2.0)]
        return list(np.cumsum(steps, axis=0).astype(float))

    frame = pd.DataFrame(
        {
            "user_key": np.tile([f"u{i:05d}" for i in range(users)], cutoffs),
            "as_of": pd.to_datetime(np.repeat(days, users)),
            "recency_days": recency,
            "tenure_days": recency + rng.integers(0, 200, rows),
            "page_views_30d": rng.poisson(3 * activity).astype(float),
            "mean_gap_days": np.where(rng.random(rows) < 0.1, np.nan, rng.gamma(2, 3, rows)),
            "silence_ratio": rng.gamma(2, 0.5, rows),
            "events_per_visit": 1 + rng.gamma(2, 2, rows),
            **{f"trend_{window}": rng.gamma(4, 0.25, rows) for window in ("7d", "30d")},
            **{f"{habit}_share": rng.random(rows) for habit in ("weekend", "night", "morning", "evening")},
            **{f"{thing}_lifetime": rng.poisson(2 * activity).astype(float) for thing in BREADTH},
            "new_items_30d": rng.poisson(activity).astype(float),
        }
    )
    for stem, rate in (("events", 8), ("visits", 3), ("active_days", 2), ("key_events", 0.5)):
        for window, values in zip(WINDOWS, windows(rate), strict=True):
            frame[f"{stem}_{window}"] = values
    for window in WINDOWS:
        frame[f"revenue_{window}"] = np.round(frame[f"key_events_{window}"] * rng.gamma(4, 10, rows), 2)
        frame[f"funnel_depth_{window}"] = 1 - 0.5 ** frame[f"visits_{window}"]
    origin = np.tile(rng.integers(0, len(ORIGINS), users), cutoffs)
    for number, name in enumerate(ORIGINS):
        frame[name] = (origin == number).astype(float)
    frame["revenue_per_key_event"] = frame["revenue_lifetime"] / frame["key_events_lifetime"].replace(0, np.nan)
    frame["days_since_key_event"] = np.where(
        frame["key_events_lifetime"] > 0, recency + rng.integers(0, 30, rows), np.nan
    )

    log_odds = (
        1.2 * (np.log1p(recency) - 2.0)
        - 0.9 * (np.log1p(frame["active_days_30d"]) - 1.2)
        - 1.0 * (frame["mean_gap_days"].fillna(9) < 4) * (recency > 8)
    )
    log_odds = signal * log_odds.to_numpy() * (1 if label == "churned" else -1) - 0.3
    frame["truth"] = 1 / (1 + np.exp(-log_odds))
    outcome = pd.array(rng.random(rows) < frame["truth"].to_numpy(), dtype="boolean")
    outcome[(frame["as_of"] + pd.Timedelta(days=horizon_days) > NOW).to_numpy()] = pd.NA
    frame[label] = outcome
    return frame
