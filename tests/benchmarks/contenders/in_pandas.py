"""pandas: sorted frames, shifts, groups and as-of merges; money in floats, as decimals are objects to it."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.contenders import (
    ELIGIBLE_DAYS,
    KEY_EVENT,
    TIMEOUT_SECONDS,
    WINDOWS,
    ZONE,
)

PERIODS = {"day": "D", "week": "W-SUN", "month": "M"}
SUMS = {
    "events": ("event_name", "size"),
    "page_views": ("is_page_view", "sum"),
    "key_events": ("is_key", "sum"),
    "revenue": ("revenue", "sum"),
}


def read(events: Path, *columns: str) -> pd.DataFrame:
    """The events, with whose they are as a category: what groups by it goes by small numbers."""
    frame = pd.read_parquet(events, columns=["user_key", "event_ts", *columns])
    if "revenue" in columns:
        frame["revenue"] = frame["revenue"].astype("float64").fillna(0.0)
    if "event_name" in columns:
        frame["is_key"] = frame["event_name"] == KEY_EVENT
        frame["is_page_view"] = frame["event_name"] == "page_view"
    return frame.assign(user_key=frame["user_key"].astype("category"))


def local_day(moments: pd.Series) -> pd.Series:
    """The calendar day as a moment without zone, which groups faster than a date."""
    return moments.dt.tz_localize("UTC").dt.tz_convert(ZONE).dt.tz_localize(None).dt.normalize()


def sessionized(events: Path, *columns: str) -> pd.DataFrame:
    frame = read(events, *columns).sort_values(["user_key", "event_ts"], ignore_index=True)
    user = frame["user_key"].cat.codes
    gap = frame["event_ts"].diff() > pd.Timedelta(seconds=TIMEOUT_SECONDS)
    frame["session"] = (gap | (user != user.shift())).cumsum()
    return frame


def _days(events: Path) -> pd.DataFrame:
    frame = read(events, "event_name", "revenue")
    frame["activity_date"] = local_day(frame["event_ts"])
    return frame.groupby(["user_key", "activity_date"], observed=True, sort=False).agg(**SUMS).reset_index()


def write(frame: pd.DataFrame, out: Path) -> None:
    frame.to_parquet(out, index=False)


def sessions(events: Path, out: Path) -> None:
    grouped = sessionized(events, "event_name", "page", "revenue").groupby("session", sort=False)
    write(
        grouped.agg(
            user_key=("user_key", "first"), started_at=("event_ts", "first"), ended_at=("event_ts", "last"), **SUMS,
            entry_page=("page", "first"), exit_page=("page", "last"),
        ),
        out,
    )  # fmt: skip


def user_days(events: Path, out: Path) -> None:
    frame = sessionized(events, "event_name", "revenue")
    frame["activity_date"] = local_day(frame["event_ts"])
    grouped = frame.groupby(["user_key", "activity_date"], observed=True, sort=False)
    write(grouped.agg(sessions=("session", "nunique"), **SUMS).reset_index(), out)


def users(events: Path, out: Path) -> None:
    grouped = sessionized(events, "event_name", "revenue").groupby("user_key", observed=True, sort=False)
    times = {"first_seen_at": ("event_ts", "first"), "last_seen_at": ("event_ts", "last")}
    write(grouped.agg(**times, sessions=("session", "nunique"), **SUMS).reset_index(), out)


def _ordinal(days: pd.Series, grain: str) -> pd.Series:
    """Calendar periods, counted."""
    return pd.Series(days.dt.to_period(PERIODS[grain]).array.asi8, index=days.index)


def _starts(ordinals: pd.Series, grain: str) -> pd.Series:
    return pd.Series(
        pd.PeriodIndex.from_ordinals(ordinals, freq=PERIODS[grain]).start_time.normalize(), index=ordinals.index
    )


def cohort_retention(events: Path, out: Path) -> None:
    days = _days(events)
    days["first"] = days.groupby("user_key", observed=True)["activity_date"].transform("min")
    cells = []
    for grain in PERIODS:
        cohort = _ordinal(days["first"], grain)
        by_period = days.assign(cohort=cohort, period_number=_ordinal(days["activity_date"], grain) - cohort)
        counted = by_period.groupby(["cohort", "period_number"]).agg(
            retained_users=("user_key", "nunique"), revenue=("revenue", "sum")
        ).reset_index()  # fmt: skip
        cells.append(counted.assign(grain=grain, cohort_period=_starts(counted["cohort"], grain)))
    write(pd.concat(cells), out)


def _fifth(values: pd.Series) -> pd.Series:
    return 1 + (5 * (values.rank(method="min").astype("int64") - 1)) // len(values)


def rfm_scores(events: Path, out: Path) -> None:
    days = _days(events)
    first, last = days["activity_date"].min().date(), days["activity_date"].max().date()
    days = days[(days["key_events"] > 0) | (days["revenue"] != 0)]
    days = days.assign(key_date=days["activity_date"].where(days["key_events"] > 0))
    scored = []
    for as_of in _month_ends(first, last):
        measured = days[days["activity_date"] <= pd.Timestamp(as_of)].groupby("user_key", observed=True).agg(
            key_date=("key_date", "max"), frequency=("key_events", "sum"), monetary=("revenue", "sum")
        )  # fmt: skip
        measured = measured[measured["frequency"] > 0]
        recency = (pd.Timestamp(as_of) - measured["key_date"]).dt.days
        scored.append(
            measured.drop(columns="key_date").assign(
                as_of_date=pd.Timestamp(as_of), recency_days=recency, r_score=6 - _fifth(recency),
                f_score=_fifth(measured["frequency"]), m_score=_fifth(measured["monetary"].round(4)),
            ).reset_index()
        )  # fmt: skip
    write(pd.concat(scored), out)


def _month_ends(first: date, last: date) -> list[date]:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [day for day in days if day == last or (day + timedelta(days=1)).day == 1]


def _active(events: Path, grain: str) -> pd.DataFrame:
    frame = read(events)
    days = frame.assign(day=local_day(frame["event_ts"]))[["user_key", "day"]].drop_duplicates()
    days["period"] = _ordinal(days["day"], grain)
    return days.groupby(["user_key", "period"], observed=True).size().reset_index(name="active_days")


def lifecycle(events: Path, out: Path) -> None:
    counted = []
    for grain in PERIODS:
        active = _active(events, grain)
        period = active["period"]
        before = active.groupby("user_key", observed=True)["period"].shift()
        after = active.groupby("user_key", observed=True)["period"].shift(-1)
        state = np.select([before.isna(), before == period - 1], ["new", "returning"], "resurrecting")
        left = pd.DataFrame({"period": period[after != period + 1] + 1, "state": "dormant"})
        both = pd.concat([pd.DataFrame({"period": period, "state": state}), left[left["period"] <= period.max()]])
        sizes = both.groupby(["period", "state"]).size().reset_index(name="users")
        counted.append(sizes.assign(grain=grain, period=_starts(sizes["period"], grain)))
    write(pd.concat(counted), out)


def stickiness(events: Path, out: Path) -> None:
    counted = []
    for grain in ("week", "month"):
        sizes = _active(events, grain).groupby(["period", "active_days"]).size().reset_index(name="users")
        counted.append(sizes.assign(grain=grain, period=_starts(sizes["period"], grain)))
    write(pd.concat(counted), out)


def user_snapshots(events: Path, out: Path) -> None:
    """A loop over Mondays: each sees the days known by then under the user they were known to belong to."""
    frame = read(events, "event_name", "revenue", "earlier_user_key", "identified_at")
    never = pd.Timestamp("2100-01-01")
    frame["activity_date"], frame["known_from"] = local_day(frame["event_ts"]), local_day(frame["identified_at"])
    frame["user_key"], frame["known_until"] = frame["user_key"].astype("str"), never
    before = frame[frame["earlier_user_key"].notna() & (frame["known_from"] > frame["activity_date"])]
    before = before.assign(
        user_key=before["earlier_user_key"], known_until=before["known_from"], known_from=before["activity_date"]
    )
    known = pd.concat([frame, before])
    known["user_key"] = known["user_key"].astype("category")
    known = known.groupby(
        ["user_key", "activity_date", "known_from", "known_until"], observed=True, sort=False
    ).agg(**SUMS).reset_index()  # fmt: skip
    first, last = known["activity_date"].min(), known["activity_date"].max()
    days = pd.date_range(first + pd.Timedelta(days=1), last + pd.Timedelta(days=1))
    snapshots = []
    for as_of in days[(days.weekday == 0) | (days == days[-1])]:
        seen = known[(known["known_from"] < as_of) & (known["known_until"] >= as_of)]
        seen = seen.assign(age=(as_of - seen["activity_date"]).dt.days)
        seen["key_age"] = seen["age"].where(seen["key_events"] > 0)
        features = seen.groupby("user_key", observed=True).agg(
            recency_days=("age", "min"), tenure_days=("age", "max"), days_since_key_event=("key_age", "min")
        )
        for window, length in WINDOWS.items():
            by_user = seen[seen["age"] <= length].groupby("user_key", observed=True)
            sums = by_user[["events", "key_events", "revenue"]].sum()
            features = features.join(sums.add_suffix(f"_{window}"))
            features[f"active_days_{window}"] = by_user["activity_date"].nunique()
        features["page_views_30d"] = seen[seen["age"] <= 30].groupby("user_key", observed=True)["page_views"].sum()
        features = features[features["recency_days"] <= ELIGIBLE_DAYS]
        windowed = [column for column in features if str(column).endswith("d") or str(column).endswith("lifetime")]
        snapshots.append(features.fillna(dict.fromkeys(windowed, 0)).assign(as_of=as_of).reset_index())
    write(pd.concat(snapshots), out)
