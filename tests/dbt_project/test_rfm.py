"""RFM, its transitions and purchases: of random histories against plain Python, of CDNOW against `lifetimes`."""

import warnings
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from orchestration.settings import Settings
from orchestration.warehouse import run_dbt
from tests.conftest import SHARED_DATA, BuildWarehouse, mostly_slow, write_lake
from tests.dbt_project.histories import Happened, Project, happened
from tests.oracles.behaviour import Event, deduplicate, identify, local_date
from tests.oracles.rfm import SEGMENTS, Money, as_of_dates, scores, transitions

START = datetime(2025, 1, 29, 16, 45)
ZONE = ZoneInfo("Asia/Kathmandu")
LOOKBACKS = [None, 35]


def test_the_segments_partition_the_grid() -> None:
    cells = [cell for r, f, _ in SEGMENTS for cell in product(r, f)]
    assert sorted(cells) == sorted(product(range(1, 6), repeat=2))


@cache
def project(lookback_days: int | None) -> Project:
    return Project.parse({"reporting_timezone": str(ZONE), "rfm": {"lookback_days": lookback_days}})


def hold(history: list[Happened], lookback_days: int | None) -> None:
    rows = [event.row(START) for event in history]
    events = identify(
        deduplicate(
            Event(
                **{
                    name: row[name]
                    for name in ("source", "event_id", "event_ts", "event_name", "user_id", "anonymous_id")
                },
                revenue=None if row["revenue"] is None else Decimal(row["revenue"]),
            )
            for row in rows
        )
    )
    days = [local_date(event.event_ts, ZONE) for event in events]
    money: dict[str, list[Money]] = defaultdict(list)
    for event, day in zip(events, days, strict=True):
        money[event.user_key].append(Money(day, event.event_name == "purchase", event.revenue or Decimal(0)))
    expected = {as_of: scores(money, as_of, lookback_days) for as_of in as_of_dates(min(days), max(days))}
    with TemporaryDirectory() as directory:
        lake = Settings(data_dir=Path(directory), threads=1)
        write_lake(lake, pd.DataFrame(rows))
        run_dbt(
            ["run", "--no-write-json", "--select", "+rfm_transitions", "+purchase_summaries"],
            lake,
            project(lookback_days).variables,
            parsed=project(lookback_days).parsed,
        )
        with duckdb.connect(str(lake.warehouse), read_only=True) as marts:
            scored = marts.execute(
                """
                select as_of_date, user_key, recency_days, frequency, monetary, r_score, f_score, m_score, segment
                from marts.rfm_scores
                """
            ).fetchall()
            moved = marts.execute("select as_of_date, from_segment, to_segment, users from marts.rfm_transitions")
            moves = {tuple(cell): users for *cell, users in moved.fetchall()}
            purchases = summaries(marts)
    assert {(as_of, user): tuple(rest) for as_of, user, *rest in scored} == {
        (as_of, user): rest for as_of, users in expected.items() for user, rest in users.items()
    }
    assert moves == transitions({as_of: {user: s[-1] for user, s in own.items()} for as_of, own in expected.items()})
    dated = pd.DataFrame(
        {"user": event.user_key, "day": day, "value": float(event.revenue or 0)}
        for event, day in zip(events, days, strict=True)
        if event.event_name == "purchase"
    )
    if len(dated):
        pd.testing.assert_frame_equal(purchases, by_lifetimes(dated, max(days)))
    else:
        assert purchases.empty


def summaries(marts: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The quantities of `lifetimes`, by its names and types; it knows no null."""
    frame = marts.execute(
        """
        select user_key, frequency, purchase_span_days as recency, age_days as "T",
            coalesce(mean_repeat_value, 0) as monetary_value
        from marts.purchase_summaries order by user_key
        """
    ).df()
    return frame.set_index("user_key").astype("float64")


def by_lifetimes(purchases: pd.DataFrame, end: date) -> pd.DataFrame:
    """What `lifetimes` makes of purchases with their user, day and value, up to the end of the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lifetimes.utils import summary_data_from_transaction_data

        frame = summary_data_from_transaction_data(
            purchases.assign(day=pd.to_datetime(purchases["day"])), "user", "day", monetary_value_col="value",
            observation_period_end=pd.Timestamp(end),
        )  # fmt: skip
    return frame.sort_index().rename_axis("user_key").astype("float64")


histories = st.lists(happened, min_size=25, max_size=80, unique_by=lambda event: (event.source, event.event_id))
FEW = settings(
    max_examples=3, deadline=None, database=None, print_blob=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.parametrize("lookback_days", mostly_slow(LOOKBACKS, 35))
def test_rfm_is_as_in_plain_python(lookback_days: int | None) -> None:
    @seed(f"rfm {lookback_days}")
    @FEW
    @given(history=histories)
    def holds(history: list[Happened]) -> None:
        hold(history, lookback_days)

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("lookback_days", LOOKBACKS)
def test_rfm_is_as_in_plain_python_many_times(lookback_days: int | None) -> None:
    @settings(FEW, max_examples=30, phases=[Phase.generate, Phase.shrink])
    @given(history=histories)
    def holds(history: list[Happened]) -> None:
        hold(history, lookback_days)

    holds()


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """The sample of CDNOW's customers of Fader and Hardie; a purchase a line."""
    path = SHARED_DATA / "cdnow" / "CDNOW_sample.txt"
    if not path.exists():
        pytest.skip("the public data set cdnow is not beside this checkout")
    frame = pd.read_csv(path, sep=r"\s+", names=["master", "user", "day", "cds", "value"], dtype={"master": str})
    return frame.assign(user=frame["master"], day=pd.to_datetime(frame["day"].astype(str)))


# The first 39 weeks are what the models of Marketing Science 24 (2005), 275-284, are fitted to.
@pytest.mark.parametrize(("end", "repeaters", "repeats"), [("1997-09-30", 946, 2457), ("1998-06-30", None, None)])
def test_cdnow_is_as_lifetimes_has_it(
    cdnow: pd.DataFrame, build_warehouse: BuildWarehouse, end: str, repeaters: int | None, repeats: int | None
) -> None:
    until = cdnow[cdnow["day"] <= end]
    events = pd.DataFrame(
        {"user_id": until["user"], "event_ts": until["day"], "event_name": "purchase", "revenue": until["value"]}
    )
    assert until["day"].max() == pd.Timestamp(end)
    ours = summaries(build_warehouse(events, select="+purchase_summaries"))
    theirs = by_lifetimes(until, date.fromisoformat(end))
    exact = ["frequency", "recency", "T"]
    assert len(ours) == len(theirs) == 2_357
    assert int((ours[exact] == theirs[exact]).all(axis=1).sum()) == 2_357
    pd.testing.assert_frame_equal(ours, theirs)
    if repeaters is not None:
        assert ((ours["frequency"] > 0).sum(), ours["frequency"].sum()) == (repeaters, repeats)
