"""Funnels, paths and attribution in Polars."""

from datetime import timedelta
from pathlib import Path

import polars as pl

from tests.benchmarks.contenders import FUNNEL, LOOKBACK_DAYS, WINDOW_SECONDS
from tests.benchmarks.contenders.in_polars import IS_KEY, IS_PAGE_VIEW, REVENUE, local_date, sessionized


def funnel_users(events: Path, out: Path) -> None:
    """From each first event, the nearest next one of each step; then a user's deepest, earliest path."""
    steps = pl.scan_parquet(events).select("user_key", "event_ts", "event_name")
    path = steps.filter(pl.col("event_name") == FUNNEL[0]).select("user_key", at_1="event_ts").sort("at_1")
    for number, name in enumerate(FUNNEL[1:], start=2):
        following = steps.filter(pl.col("event_name") == name).select("user_key", **{f"at_{number}": "event_ts"})
        path = path.sort(f"at_{number - 1}").join_asof(
            following.sort(f"at_{number}"), left_on=f"at_{number - 1}", right_on=f"at_{number}", by="user_key",
            strategy="forward", check_sortedness=False,
        )  # fmt: skip
        late = pl.col(f"at_{number}") - pl.col("at_1") > timedelta(seconds=WINDOW_SECONDS)
        path = path.with_columns(pl.when(late).then(None).otherwise(f"at_{number}").alias(f"at_{number}"))
    times = [f"at_{number}" for number in range(1, len(FUNNEL) + 1)]
    path.with_columns(
        steps_completed=pl.sum_horizontal(pl.col(*times).is_not_null()), last_step_at=pl.max_horizontal(times)
    ).sort("steps_completed", "at_1", descending=[True, False]).group_by(
        "user_key", maintain_order=True
    ).first().select("user_key", "steps_completed", "last_step_at", entered_at="at_1").sink_parquet(out)


def path_transitions(events: Path, out: Path) -> None:
    step = pl.when(IS_PAGE_VIEW & pl.col("page").is_not_null()).then("page").otherwise("event_name")
    following = pl.col("session").shift(-1) == pl.col("session")
    sessionized(events).with_columns(step=step).select(
        "user_key",
        from_step="step",
        to_step=pl.col("step").shift(-1),
        seconds=(pl.col("event_ts").shift(-1) - pl.col("event_ts")).dt.total_microseconds() / 1e6,
        stays=following,
    ).filter("stays").group_by("from_step", "to_step").agg(
        transitions=pl.len(),
        users=pl.col("user_key").n_unique(),
        median_seconds_between=pl.col("seconds").median(),
    ).sink_parquet(out)


def attribution(events: Path, out: Path) -> None:
    events_of = sessionized(events).collect().lazy()
    campaign = pl.coalesce("utm_source", "utm_medium").is_not_null().any()
    channel = pl.when(campaign).then(pl.lit("Email"))
    channel = (
        channel.when(pl.col("referrer").first().is_not_null()).then(pl.lit("Referral")).otherwise(pl.lit("Direct"))
    )
    touches = events_of.group_by("session").agg(
        user_key=pl.col("user_key").first(), started_at=pl.col("event_ts").first(), channel=channel
    )
    key_events = (
        events_of.filter(IS_KEY)
        .with_columns(activity_date=local_date(), key_event="event_name")
        .group_by("session", "activity_date")
        .agg(number=pl.len(), revenue=REVENUE.cast(pl.Float64))
    )
    converting = key_events.select("session").unique().join(touches, on="session")
    led = (
        converting.join(touches, on="user_key", suffix="_touch")
        .filter(
            pl.col("started_at_touch").is_between(
                pl.col("started_at") - timedelta(days=LOOKBACK_DAYS), pl.col("started_at")
            )
        )
        .select("session", "started_at_touch", channel="channel_touch")
        .sort("session", "started_at_touch")
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("session"), touches=pl.len().over("session"))
        .with_columns(named=pl.col("place").filter(pl.col("channel") != "Direct").max().over("session"))
    )
    place, n = pl.col("place"), pl.col("touches")
    ends = (place == 1) | (place == n)
    dealing = {
        "first": (place == 1).cast(pl.Float64),
        "last_non_direct": (place == pl.coalesce("named", "touches")).cast(pl.Float64),
        "linear": 1 / n,
        "position_based": pl.when(n == 1)
        .then(1.0)
        .when(n == 2)
        .then(0.5)
        .when(ends)
        .then(0.4)
        .otherwise(0.2 / (n - 2)),
    }
    dealt = [
        led.with_columns(model=pl.lit(model), credit=credit)
        .filter(pl.col("credit") > 0)
        .join(key_events, on="session")
        .group_by("model", "channel", "activity_date")
        .agg(
            key_events=(pl.col("credit") * pl.col("number")).sum(),
            revenue=(pl.col("credit") * pl.col("revenue")).sum(),
        )
        for model, credit in dealing.items()
    ]
    pl.concat(dealt).sink_parquet(out)
