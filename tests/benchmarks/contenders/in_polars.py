"""Polars: lazy frames, window expressions, as-of joins."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl

from tests.benchmarks.contenders import (
    ELIGIBLE_DAYS,
    GRAINS,
    KEY_EVENT,
    TIMEOUT_SECONDS,
    WINDOWS,
    ZONE,
)

IS_KEY = pl.col("event_name") == KEY_EVENT
IS_PAGE_VIEW = pl.col("event_name") == "page_view"
REVENUE = pl.col("revenue").fill_null(0).sum()


def local_date(column: str = "event_ts") -> pl.Expr:
    return pl.col(column).dt.replace_time_zone("UTC").dt.convert_time_zone(ZONE).dt.date()


def sessionized(events: Path) -> pl.LazyFrame:
    is_new = (pl.col("event_ts").diff() > timedelta(seconds=TIMEOUT_SECONDS)).fill_null(True)
    return (
        pl.scan_parquet(events)
        .sort("user_key", "event_ts")
        .with_columns(session=(is_new | (pl.col("user_key") != pl.col("user_key").shift())).cum_sum())
    )


def _days(events: Path) -> pl.LazyFrame:
    return (
        pl.scan_parquet(events)
        .with_columns(activity_date=local_date())
        .group_by("user_key", "activity_date")
        .agg(key_events=IS_KEY.sum(), revenue=REVENUE)
    )


def sessions(events: Path, out: Path) -> None:
    sessionized(events).group_by("session").agg(
        user_key=pl.col("user_key").first(),
        started_at=pl.col("event_ts").first(),
        ended_at=pl.col("event_ts").last(),
        events=pl.len(),
        page_views=IS_PAGE_VIEW.sum(),
        key_events=IS_KEY.sum(),
        revenue=REVENUE,
        entry_page=pl.col("page").drop_nulls().first(),
        exit_page=pl.col("page").drop_nulls().last(),
    ).drop("session").sink_parquet(out)


def user_days(events: Path, out: Path) -> None:
    sessionized(events).with_columns(activity_date=local_date()).group_by("user_key", "activity_date").agg(
        sessions=pl.col("session").n_unique(),
        events=pl.len(),
        page_views=IS_PAGE_VIEW.sum(),
        key_events=IS_KEY.sum(),
        revenue=REVENUE,
    ).sink_parquet(out)


def users(events: Path, out: Path) -> None:
    sessionized(events).group_by("user_key").agg(
        first_seen_at=pl.col("event_ts").min(),
        last_seen_at=pl.col("event_ts").max(),
        sessions=pl.col("session").n_unique(),
        events=pl.len(),
        key_events=IS_KEY.sum(),
        revenue=REVENUE,
    ).sink_parquet(out)


def _by_grain(frame: pl.LazyFrame, *, start: str, grain: str) -> pl.LazyFrame:
    """A date's calendar period, as a column of the grain's name."""
    return frame.with_columns(pl.col(start).dt.truncate(GRAINS[grain]).alias("period"), grain=pl.lit(grain))


def _periods_since(grain: str) -> pl.Expr:
    period, cohort = pl.col("period"), pl.col("cohort_period")
    if grain == "month":
        return 12 * (period.dt.year() - cohort.dt.year()) + period.dt.month().cast(pl.Int32) - cohort.dt.month()
    return (period - cohort).dt.total_days() // (7 if grain == "week" else 1)


def cohort_retention(events: Path, out: Path) -> None:
    days = _days(events).collect().lazy().with_columns(first=pl.col("activity_date").min().over("user_key"))
    cells = []
    for grain, every in GRAINS.items():
        by_period = (
            _by_grain(days, start="activity_date", grain=grain)
            .with_columns(cohort_period=pl.col("first").dt.truncate(every))
            .with_columns(period_number=_periods_since(grain).cast(pl.Int64))
        )
        cells.append(
            by_period.group_by("grain", "cohort_period", "period_number").agg(
                retained_users=pl.col("user_key").n_unique(), revenue=pl.col("revenue").sum()
            )
        )
    pl.concat(cells).sink_parquet(out)


def _fifth(column: str) -> pl.Expr:
    return 1 + (5 * (pl.col(column).rank("min") - 1) // pl.len()).cast(pl.Int64)


def rfm_scores(events: Path, out: Path) -> None:
    days = _days(events).filter((pl.col("key_events") > 0) | (pl.col("revenue") != 0)).collect()
    span = pl.scan_parquet(events).select(local_date().alias("day")).select(first=pl.min("day"), last=pl.max("day"))
    first, last = span.collect().row(0)
    scored = []
    for as_of in _month_ends(first, last):
        scored.append(
            days.lazy()
            .filter(pl.col("activity_date") <= as_of)
            .group_by("user_key")
            .agg(
                recency_days=(
                    pl.lit(as_of) - pl.col("activity_date").filter(pl.col("key_events") > 0).max()
                ).dt.total_days(),
                frequency=pl.col("key_events").sum(),
                monetary=pl.col("revenue").sum(),
            )
            .filter(pl.col("frequency") > 0)
            .with_columns(
                as_of_date=pl.lit(as_of),
                r_score=6 - _fifth("recency_days"),
                f_score=_fifth("frequency"),
                m_score=_fifth("monetary"),
            )
        )
    pl.concat(scored).sink_parquet(out)


def _month_ends(first: date, last: date) -> list[date]:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [day for day in days if day == last or (day + timedelta(days=1)).day == 1]


def lifecycle(events: Path, out: Path) -> None:
    days = _days(events).select("user_key", "activity_date").collect().lazy()
    counted = []
    for grain, every in GRAINS.items():
        active = _by_grain(days, start="activity_date", grain=grain).select("grain", "user_key", "period").unique()
        active = active.sort("user_key", "period").with_columns(
            before=pl.col("period").shift().over("user_key"), after=pl.col("period").shift(-1).over("user_key")
        )
        state = (
            pl.when(pl.col("before").is_null())
            .then(pl.lit("new"))
            .when(pl.col("before").dt.offset_by(every) == pl.col("period"))
            .then(pl.lit("returning"))
            .otherwise(pl.lit("resurrecting"))
        )
        following = pl.col("period").dt.offset_by(every)
        left = active.filter(pl.col("after").ne_missing(following)).with_columns(
            period=following, state=pl.lit("dormant")
        )
        both = pl.concat([active.with_columns(state=state), left])
        counted.append(both.group_by("grain", "period", "state").agg(users=pl.len()))
    last = days.select(pl.col("activity_date").max()).collect().item()
    pl.concat(counted).filter(pl.col("period") <= last).sink_parquet(out)


def stickiness(events: Path, out: Path) -> None:
    days = _days(events).select("user_key", "activity_date").collect().lazy()
    counted = [
        _by_grain(days, start="activity_date", grain=grain)
        .group_by("grain", "user_key", "period")
        .agg(active_days=pl.len())
        .group_by("grain", "period", "active_days")
        .agg(users=pl.len())
        for grain in ("week", "month")
    ]
    pl.concat(counted).sink_parquet(out)


def user_snapshots(events: Path, out: Path) -> None:
    """A loop over Mondays: each sees the days known by then under the user they were known to belong to."""
    scanned = pl.scan_parquet(events).with_columns(
        activity_date=local_date(), identified_date=local_date("identified_at")
    )
    columns = ["user_key", "activity_date", "known_from", "known_until", "event_name", "revenue"]
    now = scanned.with_columns(known_from="identified_date", known_until=pl.lit(None, pl.Date)).select(columns)
    before = scanned.filter(
        pl.col("earlier_user_key").is_not_null() & (pl.col("identified_date") > pl.col("activity_date"))
    ).with_columns(user_key="earlier_user_key", known_from="activity_date", known_until="identified_date")
    known = (
        pl.concat([now, before.select(columns)])
        .group_by("user_key", "activity_date", "known_from", "known_until")
        .agg(events=pl.len(), key_events=IS_KEY.sum(), page_views=IS_PAGE_VIEW.sum(), revenue=REVENUE)
        .collect()
    )
    first, last = known.select(a=pl.col("activity_date").min(), b=pl.col("activity_date").max()).row(0)
    days = [first + timedelta(days=number) for number in range(1, (last - first).days + 2)]
    age, snapshots = pl.col("age"), []
    for as_of in [day for day in days if day.weekday() == 0 or day == days[-1]]:
        measures: dict[str, pl.Expr] = {
            "recency_days": age.min(),
            "tenure_days": age.max(),
            "days_since_key_event": age.filter(pl.col("key_events") > 0).min(),
            "page_views_30d": pl.col("page_views").filter(age <= 30).sum(),
        }
        for window, length in WINDOWS.items():
            measures[f"active_days_{window}"] = pl.col("activity_date").filter(age <= length).n_unique()
            for measure in ("events", "key_events", "revenue"):
                measures[f"{measure}_{window}"] = pl.col(measure).filter(age <= length).sum()
        is_known = (pl.col("known_from") < as_of) & (pl.col("known_until").is_null() | (pl.col("known_until") >= as_of))
        snapshots.append(
            known.lazy()
            .filter(is_known)
            .with_columns(age=(pl.lit(as_of) - pl.col("activity_date")).dt.total_days())
            .group_by("user_key")
            .agg(**measures)
            .filter(pl.col("recency_days") <= ELIGIBLE_DAYS)
            .with_columns(as_of=pl.lit(as_of))
        )
    pl.concat(snapshots).sink_parquet(out)
