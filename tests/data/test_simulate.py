"""The simulated shop: what its dumps hold, and that they behave as its truth says."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.data.simulated import Shop, Simulated, run, simulate, z


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """The default sample."""
    return run(Shop(), tmp_path_factory.mktemp("default"))


def test_the_default_sample_has_the_promised_size(default: Simulated) -> None:
    assert default.summary.events == pytest.approx(200_000, rel=0.05)
    assert default.summary.lines == pytest.approx(200_000, rel=0.05)
    assert [path.name for path in default.dumps] == [
        f"events-{date(2025, 1, 1) + timedelta(day)}.jsonl.gz" for day in range(120)
    ]


def test_the_summary_counts_what_the_files_hold(default: Simulated) -> None:
    summary, lines, events = default.summary, default.lines, default.events
    assert summary.lines == len(lines)
    assert summary.malformed == (~lines["well_formed"]).sum()
    assert summary.events == len(events)
    assert summary.duplicates == lines["well_formed"].sum() - len(events)
    assert summary.late == (events["received_at"] - events["timestamp"] >= timedelta(hours=1)).sum()
    assert summary.users == len(default.truth)


def test_flaws_have_their_shares(default: Simulated) -> None:
    settled = default.events[default.events["timestamp"] < "2025-04-16"]  # two weeks later all has arrived
    delay = settled["received_at"] - settled["timestamp"]
    late = (delay >= timedelta(hours=1)).sum()
    assert abs(z(late, 0.03 * len(settled), 0.03 * len(settled))) < 4
    assert delay.between(timedelta(0), timedelta(days=7)).all()
    assert (delay > timedelta(days=5)).any()

    ids = default.lines.loc[default.lines["well_formed"], "raw"].str.slice(13, 49)
    copies = ids.value_counts()[settled["event_id"]] - 1
    assert abs(z(copies.sum(), 0.02 * len(settled), 0.02 * len(settled))) < 4
    assert copies.max() == 1
    assert abs(z(default.summary.malformed, default.summary.lines / 5_000, default.summary.lines / 5_000)) < 4


def test_copies_are_exact_or_differ_in_their_arrival_only(default: Simulated) -> None:
    good = default.lines[default.lines["well_formed"]]
    groups = good.groupby(good["raw"].str.slice(13, 49))
    pairs = good[groups["raw"].transform("size") == 2].groupby(good["raw"].str.slice(13, 49))
    identical = pairs["raw"].nunique() == 1
    assert 0.4 < identical.mean() < 0.6
    assert (pairs["file"].nunique() == 2).any()
    content = good["raw"].str.replace(r'"received_at":"[^"]*"', "", regex=True)
    assert (content.groupby(good["raw"].str.slice(13, 49)).nunique() == 1).all()


def test_files_are_parted_and_ordered_by_arrival(default: Simulated) -> None:
    arrival = default.lines["raw"].str.extract(r'"received_at":"([^"]*)"')[0]
    known = arrival.notna()
    assert (default.lines["file"] == "events-" + arrival.str.slice(0, 10) + ".jsonl.gz")[known].all()
    assert arrival[known].is_monotonic_increasing
    assert (default.events["received_at"] > default.events["timestamp"]).all()
    assert default.events["timestamp"].between("2025-01-01", "2025-05-01").all()


def test_absent_values_leave_no_key(default: Simulated) -> None:
    assert not default.lines["raw"].str.contains("null").any()
    carried = default.events.groupby("event").agg(lambda values: values.notna().mean())
    assert (carried["anonymous_id"] == 1).all()
    assert (carried[["quantity"]] == 1)["quantity"].to_dict() == {
        event: event in {"add_to_cart", "begin_checkout", "purchase"} for event in simulate.EVENTS
    }
    for column in ("revenue", "currency"):
        assert carried[column].to_dict() == {event: event == "purchase" for event in simulate.EVENTS}
    assert (default.events["revenue"].dropna() > 0).all()
    cents = default.events["revenue"].dropna() * 100
    assert np.allclose(cents, cents.round())


def test_visits_flow_towards_the_purchase(default: Simulated) -> None:
    visits = default.events.dropna(subset="session_id").groupby("session_id")
    assert abs(z(visits.ngroups, default.truth["visits"].sum(), 0.001 * visits.ngroups)) < 6  # a few still arrive
    assert (visits["event"].first() == "page_view").mean() > 0.95  # the first event may still be under way
    users = default.events.groupby("event")["session_id"].nunique()
    steps = users[["view_item", "add_to_cart", "begin_checkout", "purchase"]]
    assert steps.is_monotonic_decreasing
    in_order = visits["event"].agg(
        lambda events: [event for event in events if event in {"add_to_cart", "begin_checkout", "purchase"}]
    )
    assert {tuple(path) for path in in_order if len(path) == 3} == {("add_to_cart", "begin_checkout", "purchase")}
    gaps = visits["timestamp"].diff().dropna()
    assert gaps.median() < timedelta(minutes=1)
    assert gaps.between(timedelta(minutes=20), timedelta(minutes=30)).any()
    assert (gaps > timedelta(minutes=30)).mean() < 1e-4  # only where an event between them is still under way


def test_people_buy_at_their_propensity(default: Simulated) -> None:
    """Purchases seen in the dumps against visits times the true propensity, by tenth of propensity."""
    truth = default.truth[default.truth["registered"]]
    seen = default.events[default.events["event"] == "purchase"].groupby("user_id").size()
    bought = seen.reindex(truth["user_id"], fill_value=0).to_numpy()
    p, visits = truth["purchase_propensity"], truth["visits"]
    for tenth in range(10):
        of = pd.qcut(p, 10, labels=False) == tenth
        assert abs(z(bought[of].sum(), (p * visits)[of].sum(), (p * (1 - p) * visits)[of].sum())) < 4
    by_channel = default.truth.groupby("channel")["purchase_propensity"].mean()
    assert by_channel["email"] > by_channel["direct"] > by_channel["paid_social"]


def test_traits_follow_their_formulas(default: Simulated) -> None:
    truth = default.truth
    e, i = truth["engagement"], truth["intent"]
    hazard = {"direct": -0.1, "organic": -0.2, "paid_search": 0.1, "paid_social": 0.3, "email": -0.2}
    assert np.allclose(truth["visit_rate"], 0.15 * np.exp(0.9 * e))
    assert np.allclose(truth["churn_hazard"], np.exp(-0.25 * e - 0.35 * i + truth["channel"].map(hazard)) / 100)
    assert np.allclose(truth["browse_depth"], 2.5 * np.exp(0.6 * i))
    phones = truth[(truth["platform"] == "android") & (truth["channel"] == "email")]
    assert np.allclose(phones["purchase_propensity"], 1 / (1 + np.exp(2.9 - 0.4 * phones["intent"] - 0.2)))


def test_nobody_acts_before_arriving_or_after_leaving(default: Simulated) -> None:
    person = default.events.dropna(subset="user_id").merge(default.truth, on="user_id", validate="many_to_one")
    assert len(person) > 100_000
    assert (person["timestamp"] >= person["arrived_at"]).all()
    assert not (person["timestamp"] > person["churned_at"]).any()
    assert 0.2 < default.truth["churned_at"].notna().mean() < 0.8


def test_people_leave_at_their_hazard(tmp_path: Path) -> None:
    """Of those who arrived in the span, those gone at its end against the survival their hazards give."""
    simulate.simulate(Shop(events=60_000, days=60, seed=11), tmp_path)
    truth = pq.read_table(tmp_path / "truth" / "users.parquet").to_pandas()
    new = truth[truth["arrived_at"] >= "2025-01-01"]
    tenure = (pd.Timestamp("2025-03-02") - new["arrived_at"]) / pd.Timedelta(days=1)
    gone = 1 - np.exp(-new["churn_hazard"] * (tenure + 60 * (1 - np.exp(-tenure / 10))))
    assert len(new) > 300
    assert abs(z(new["churned_at"].notna().sum(), gone.sum(), (gone * (1 - gone)).sum())) < 4


def test_devices_tell_who_is_who(default: Simulated) -> None:
    known = default.events.dropna(subset="user_id")
    owned = default.truth.explode("anonymous_ids").rename(columns={"anonymous_ids": "anonymous_id"})
    pairs = set(zip(owned["user_id"], owned["anonymous_id"], strict=True))
    assert set(zip(known["user_id"], known["anonymous_id"], strict=True)) <= pairs
    assert (known.groupby("user_id")["anonymous_id"].nunique() > 1).any()  # several devices
    assert (known.groupby("anonymous_id")["user_id"].nunique() > 1).any()  # a shared device

    logins = default.events[default.events["event"] == "login"].groupby("session_id")["timestamp"].first()
    visits = default.events[default.events["session_id"].isin(logins.index)]
    after = visits["timestamp"] >= visits["session_id"].map(logins)
    assert (visits["user_id"].notna() == after).all()
    registered = default.truth.set_index("user_id")["registered"]
    assert registered[known["user_id"].unique()].all()
    assert default.events["user_id"].notna().mean() > 0.5


def test_activity_is_heavy_tailed_and_follows_the_clock(default: Simulated) -> None:
    visits = default.truth["visits"].sort_values(ascending=False)
    assert visits.head(len(visits) // 10).sum() > 0.35 * visits.sum()
    people = default.events.dropna(subset="session_id")
    local = people["timestamp"].dt.tz_localize("UTC").dt.tz_convert("America/Sao_Paulo")
    hours = local.dt.hour.value_counts()
    assert hours[[20, 21]].sum() > 5 * hours[[3, 4]].sum()
    weekdays = local.dt.day_of_week.value_counts()
    assert weekdays[0] > weekdays[5]


def test_bots_crawl_at_regular_gaps_from_abroad(default: Simulated) -> None:
    people = set(default.truth.explode("anonymous_ids")["anonymous_ids"])
    bots = default.events[~default.events["anonymous_id"].isin(people)]
    assert bots["anonymous_id"].nunique() == default.summary.bots
    assert bots["user_id"].isna().all()
    assert not (bots["country"] == "BR").any()
    assert (bots["event"] == "page_view").all()
    assert default.events.loc[default.events["anonymous_id"].isin(people), "country"].eq("BR").mean() > 0.9
    for _, views in bots.groupby("anonymous_id"):
        assert len(views) > 1_000
        gaps = views["timestamp"].diff().dropna().dt.total_seconds()
        assert gaps.mode().iloc[0] == pytest.approx(gaps.median(), abs=0.002)
        assert (gaps.sub(gaps.median()).abs() < 0.003).mean() > 0.9


@pytest.mark.parametrize(("buying", "horizon"), [(False, 30), (True, 7)])
def test_the_best_achievable_probability_is_calibrated(default: Simulated, buying: bool, horizon: int) -> None:
    """Outcomes in the dumps against the predicted share, in all and by fifth, at three cutoffs."""
    known = default.events.merge(
        default.truth.explode("anonymous_ids")[["user_id", "anonymous_ids"]].drop_duplicates("anonymous_ids"),
        left_on="anonymous_id",
        right_on="anonymous_ids",
        suffixes=("", "_of_device"),
    )
    person = known["user_id"].fillna(known["user_id_of_device"])
    none, predicted, variance = [], [], []
    for cutoff in pd.to_datetime(["2025-02-10", "2025-03-05", "2025-03-31"]):
        past = known["timestamp"] < cutoff
        last = known[past].groupby(person[past])["timestamp"].max()
        people = default.truth.set_index("user_id").loc[last.index]
        ahead = (known["timestamp"] >= cutoff) & (known["timestamp"] < cutoff + timedelta(days=horizon))
        ahead &= (known["event"] == "purchase") | (not buying)
        p = simulate.probability_of_none(
            default.shop, people, last_visit=last, cutoff=cutoff, horizon_days=horizon, buying=buying
        )
        none.append(~last.index.isin(person[ahead]))
        predicted.append(p)
        variance.append(p * (1 - p))
    outcome, p, v = np.concatenate(none), np.concatenate(predicted), np.concatenate(variance)
    assert ((p >= 0) & (p <= 1)).all()
    fifth = np.argsort(np.argsort(p)) * 5 // len(p)
    for part in range(5):  # one person counts at up to three cutoffs: three times the variance at most
        of = fifth == part
        assert abs(z(outcome[of].sum(), p[of].sum(), 3 * v[of].sum() + 1)) < 4
    assert abs(z(outcome.sum(), p.sum(), 3 * v.sum())) < 4
