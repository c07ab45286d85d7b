"""Funnels, paths and attribution in pandas."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.contenders import FUNNEL, LOOKBACK_DAYS, WINDOW_SECONDS
from tests.benchmarks.contenders.in_pandas import local_day, read, sessionized, write


def funnel_users(events: Path, out: Path) -> None:
    """From each first event, the nearest next one of each step; then a user's deepest, earliest path."""
    frame = read(events, "event_name").sort_values("event_ts")
    step = {name: frame.loc[frame["event_name"] == name, ["user_key", "event_ts"]] for name in FUNNEL}
    path = step[FUNNEL[0]].rename(columns={"event_ts": "at_1"})
    for number, name in enumerate(FUNNEL[1:], start=2):
        before, at = f"at_{number - 1}", f"at_{number}"
        open_ = path[path[before].notna()].sort_values(before)
        followed = pd.merge_asof(
            open_, step[name].rename(columns={"event_ts": at}), left_on=before, right_on=at, by="user_key",
            direction="forward",
        )  # fmt: skip
        followed.loc[followed[at] - followed["at_1"] > pd.Timedelta(seconds=WINDOW_SECONDS), at] = pd.NaT
        path = pd.concat([path[path[before].isna()], followed])
    times = path[[f"at_{number}" for number in range(1, len(FUNNEL) + 1)]]
    path["steps_completed"] = times.notna().sum(axis=1)
    path["last_step_at"] = times.max(axis=1)
    best = path.sort_values(["steps_completed", "at_1"], ascending=[False, True]).drop_duplicates("user_key")
    write(
        best.rename(columns={"at_1": "entered_at"})[["user_key", "steps_completed", "entered_at", "last_step_at"]], out
    )


def path_transitions(events: Path, out: Path) -> None:
    frame = sessionized(events, "event_name", "page")
    step = frame["page"].where(frame["is_page_view"] & frame["page"].notna(), frame["event_name"]).astype("category")
    moves = pd.DataFrame(
        {
            "user_key": frame["user_key"],
            "from_step": step,
            "to_step": step.shift(-1),
            "seconds": (frame["event_ts"].shift(-1) - frame["event_ts"]).dt.total_seconds(),
        }
    )[frame["session"] == frame["session"].shift(-1)]
    write(
        moves.groupby(["from_step", "to_step"], observed=True)
        .agg(
            transitions=("seconds", "size"), users=("user_key", "nunique"), median_seconds_between=("seconds", "median")
        )
        .reset_index(),
        out,
    )


def attribution(events: Path, out: Path) -> None:
    frame = sessionized(events, "event_name", "referrer", "utm_source", "utm_medium", "revenue")
    frame["has_campaign"] = frame["utm_source"].notna() | frame["utm_medium"].notna()
    frame["has_referrer"] = frame["referrer"].notna()
    touches = frame.groupby("session").agg(
        user_key=("user_key", "first"), started_at=("event_ts", "first"), has_campaign=("has_campaign", "any"),
    )  # fmt: skip
    arrived = frame.drop_duplicates("session").set_index("session")["has_referrer"]
    touches["channel"] = np.select([touches["has_campaign"], arrived], ["Email", "Referral"], "Direct")
    keys = frame[frame["is_key"]]
    keys = keys.assign(activity_date=local_day(keys["event_ts"]))
    keys = keys.groupby(["session", "activity_date"]).agg(number=("revenue", "size"), money=("revenue", "sum"))
    keys = keys.reset_index()
    own = touches.loc[keys["session"].unique(), ["user_key", "started_at"]].reset_index()
    led = own.merge(touches.reset_index(drop=True), on="user_key", suffixes=("", "_touch"))
    since = led["started_at"] - pd.Timedelta(days=LOOKBACK_DAYS)
    led = led[led["started_at_touch"].between(since, led["started_at"])].sort_values(["session", "started_at_touch"])
    by_session = led.groupby("session")
    place = by_session.cumcount() + 1
    n = by_session["channel"].transform("size")
    named = place.where(led["channel"] != "Direct").groupby(led["session"]).transform("max").fillna(n)
    ends = (place == 1) | (place == n)
    dealing = {
        "first": (place == 1).astype(float),
        "last_non_direct": (place == named).astype(float),
        "linear": 1 / n,
        "position_based": np.select([n == 1, n == 2, ends], [1.0, 0.5, 0.4], 0.2 / (n - 2).clip(lower=1)),
    }
    dealt = []
    for model, credit in dealing.items():
        shares = led.assign(model=model, credit=credit)
        shares = shares[shares["credit"] > 0].merge(keys, on="session")
        shares["key_events"] = shares["credit"] * shares["number"]
        shares["revenue"] = shares["credit"] * shares["money"]
        dealt.append(
            shares.groupby(["model", "channel", "activity_date"])[["key_events", "revenue"]].sum().reset_index()
        )
    write(pd.concat(dealt), out)
