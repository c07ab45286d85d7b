"""The simulated shop: what its dumps hold, and that they behave as its truth says."""

import gzip
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPT = Path(__file__).parents[2] / "data" / "simulate.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


simulate = load_script()
Shop = simulate.Shop


@dataclass(frozen=True)
class Simulated:
    """A simulated shop, read back by the standard library's gzip and json alone."""

    shop: Any
    summary: Any
    lines: pd.DataFrame  # every line: file, raw, well_formed
    events: pd.DataFrame  # each distinct well-formed event
    truth: pd.DataFrame
    dumps: list[Path]


def run(shop: Any, out: Path) -> Simulated:
    summary = simulate.simulate(shop, out)
    dumps = sorted((out / "landing" / "shop").iterdir())
    lines, parsed = [], []
    for dump in dumps:
        for raw in gzip.decompress(dump.read_bytes()).decode().splitlines():
            event = parse(raw)
            lines.append((dump.name, raw, event is not None))
            if event is not None:
                parsed.append(event)
    frame = pd.DataFrame(parsed)
    for column in ("timestamp", "received_at"):
        frame[column] = pd.to_datetime(frame[column], format="%Y-%m-%dT%H:%M:%S.%fZ").astype("M8[ms]")
    return Simulated(
        shop=shop,
        summary=summary,
        lines=pd.DataFrame(lines, columns=["file", "raw", "well_formed"]),
        events=frame.sort_values("received_at").drop_duplicates("event_id").sort_values("timestamp"),
        truth=pq.read_table(out / "truth" / "users.parquet").to_pandas(),
        dumps=dumps,
    )


def parse(raw: str) -> dict[str, Any] | None:
    """The event of a line; None if it is no JSON object or has no possible time."""
    try:
        event: dict[str, Any] = json.loads(raw)
        datetime.fromisoformat(event["timestamp"])
    except (ValueError, KeyError):
        return None
    return event


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """The default sample."""
    return run(Shop(), tmp_path_factory.mktemp("default"))


def z(observed: float, expected: float, variance: float) -> float:
    return float((observed - expected) / np.sqrt(variance))


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        simulate.simulate(Shop(events=3_000, days=4, seed=seed), tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    one, two, other = written
    assert one == two
    assert len(one) == 5
    assert all(one[name] != other[name] for name in one)


def test_the_default_sample_has_the_promised_size(default: Simulated) -> None:
    assert default.summary.events == pytest.approx(200_000, rel=0.05)
    assert default.summary.lines == pytest.approx(200_000, rel=0.05)
    assert [path.name for path in default.dumps] == [
        f"events-{date(2025, 1, 1) + timedelta(day)}.jsonl.gz" for day in range(120)
    ]


@pytest.mark.parametrize(("events", "days"), [(1, 1), (2_000, 1), (20_000, 9), (10_000, 150)])
def test_other_sizes_are_met_too(events: int, days: int, tmp_path: Path) -> None:
    summary = simulate.simulate(Shop(events=events, days=days, late=0.0), tmp_path)
    assert summary.events == pytest.approx(events, rel=0.05, abs=12 * events**0.5)


def test_the_summary_counts_what_the_files_hold(default: Simulated) -> None:
    summary, lines, events = default.summary, default.lines, default.events
    assert summary.lines == len(lines)
    assert summary.malformed == (~lines["well_formed"]).sum()
    assert summary.events == len(events)
    assert summary.duplicates == lines["well_formed"].sum() - len(events)
    assert summary.late == (events["received_at"] - events["timestamp"] >= timedelta(hours=1)).sum()
    assert summary.users == len(default.truth)


def test_broken_lines_are_of_every_kind_and_cost_no_event(tmp_path: Path) -> None:
    broken = run(Shop(events=5_000, days=3, malformed=0.02), tmp_path / "broken")
    bad = broken.lines.loc[~broken.lines["well_formed"], "raw"]
    assert z(len(bad), 0.02 * len(broken.lines), 0.02 * len(broken.lines)) < 5
    kinds = {
        "not JSON": bad.str.startswith("<"),
        "cut": bad.str.startswith("{") & ~bad.str.endswith("}"),
        "no timestamp": bad.str.endswith("}") & ~bad.str.contains('"timestamp"'),
        "impossible time": bad.str.contains("2025-02-31"),
    }
    assert all(kind.any() for kind in kinds.values())
    assert sum(kind.sum() for kind in kinds.values()) == len(bad)
    whole = run(Shop(events=5_000, days=3, malformed=0.0), tmp_path / "whole")
    assert len(broken.events) == len(whole.events)


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


def test_memory_holds_only_what_is_under_way(tmp_path: Path) -> None:
    held: list[int] = []
    shop = Shop(events=60_000, days=40)
    simulate.simulate(shop, tmp_path, on_day=lambda: held.append(pa.total_allocated_bytes()))
    assert len(held) == 40
    assert max(held[20:]) < 1.5 * max(held[8:20])  # deliveries take a week at most


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


def someone(**traits: float) -> pd.DataFrame:
    """A person of long standing: past the newcomers' hazard."""
    usual = {"visit_rate": 0.15, "churn_hazard": 0.01, "purchase_propensity": 0.05}
    return pd.DataFrame({"arrived_at": [pd.Timestamp("2024-06-01")], **{k: [v] for k, v in (usual | traits).items()}})


class EvenClock:
    """A shop without seasons."""

    def __init__(self, *_: object) -> None:
        pass

    def weight(self, moment: Any) -> Any:
        return moment


@pytest.mark.parametrize("rate", [0.03, 0.15, 1.0])
@pytest.mark.parametrize("hazard", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("quiet_days", [0, 7, 45])
def test_without_seasons_the_best_achievable_probability_is_that_of_pareto_nbd(
    rate: float, hazard: float, quiet_days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closed form for one person: Schmittlein, Morrison and Colombo (1987), given r and h."""
    monkeypatch.setattr(simulate, "Clock", EvenClock)
    cutoff, horizon = datetime(2025, 3, 3, 3), 30
    person = someone(visit_rate=rate, churn_hazard=hazard)
    last = [cutoff - timedelta(days=quiet_days)]
    found = simulate.probability_of_none(Shop(), person, last_visit=last, cutoff=cutoff, horizon_days=horizon)
    alive = 1 / (1 + hazard / (hazard + rate) * np.expm1((hazard + rate) * quiet_days))
    silent = (hazard + rate * np.exp(-(hazard + rate) * horizon)) / (hazard + rate)
    assert found[0] == pytest.approx(1 - alive * (1 - silent), abs=1e-6)


def test_longer_horizons_are_quieter_less_often_and_purchases_rarer_than_visits() -> None:
    asked = {"last_visit": [datetime(2025, 2, 1)], "cutoff": datetime(2025, 2, 10)}
    p = [simulate.probability_of_none(Shop(), someone(), **asked, horizon_days=days)[0] for days in (0, 1, 7, 30, 400)]
    assert p[0] == pytest.approx(1)
    assert all(shorter > longer for shorter, longer in pairwise(p))
    buying = simulate.probability_of_none(Shop(), someone(), **asked, horizon_days=7, buying=True)[0]
    assert p[2] < buying < 1
    newcomer = someone().assign(arrived_at=pd.Timestamp("2025-02-01"))
    assert simulate.probability_of_none(Shop(), newcomer, **asked, horizon_days=7)[0] > p[2]


def test_the_clock_can_be_read_both_ways() -> None:
    clock = simulate.Clock(date(2025, 1, 1), 365)
    days = np.linspace(-365, 366, 5_000)
    assert np.allclose(clock.moment(clock.weight(days)), days)
    assert np.ptp(clock.weight(np.array([0.0, 364.0]))) == pytest.approx(364, rel=0.03)


def test_truth_says_which_shop_it_is_of(tmp_path: Path) -> None:
    simulate.simulate(Shop(events=500, days=2, seed=3), tmp_path)
    metadata = pq.read_schema(tmp_path / "truth" / "users.parquet").metadata
    assert json.loads(metadata[b"shop"])["seed"] == 3
    assert json.loads(metadata[b"shop"])["start"] == "2025-01-01"


@pytest.mark.parametrize("wrong", [{"events": 0}, {"days": 0}, {"seed": -1}, {"late": 1.0}, {"malformed": -0.1}])
def test_impossible_shops_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Shop(**wrong)


def test_dumps_are_never_mixed_with_others(tmp_path: Path) -> None:
    shop = Shop(events=500, days=2)
    simulate.simulate(shop, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="move them away"):
        simulate.simulate(shop, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_run_that_is_stopped_leaves_no_dump_behind(tmp_path: Path) -> None:
    shop = Shop(events=500, days=3)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate.simulate(shop, tmp_path, on_day=stop)
    assert not (tmp_path / "landing").exists()
    again, fresh = run(shop, tmp_path), run(shop, tmp_path / "fresh")
    assert again.lines.equals(fresh.lines)
    assert not (tmp_path / ".simulating").exists()


def test_the_command_simulates_and_explains(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--events", "800", "--days", "3", "--seed", "9"]
    first = subprocess.run([*command, "--start", "2024-02-28"], capture_output=True, text=True, check=True)
    assert "100%" in first.stderr
    assert "pending" in first.stderr
    names = [path.name for path in sorted((tmp_path / "landing" / "shop").iterdir())]
    assert names == [f"events-2024-{day}.jsonl.gz" for day in ("02-28", "02-29", "03-01")]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "move them away" in second.stderr
    assert "Traceback" not in second.stderr
