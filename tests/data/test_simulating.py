"""The script that simulates a shop: how it runs, what it refuses, and the probabilities that it works out."""

import json
import subprocess
import sys
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.simulated import SCRIPT, Shop, run, simulate, z


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


@pytest.mark.parametrize(("events", "days"), [(1, 1), (2_000, 1), (20_000, 9), (10_000, 150)])
def test_other_sizes_are_met_too(events: int, days: int, tmp_path: Path) -> None:
    summary = simulate.simulate(Shop(events=events, days=days, late=0.0), tmp_path)
    assert summary.events == pytest.approx(events, rel=0.05, abs=12 * events**0.5)


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


def test_memory_holds_only_what_is_under_way(tmp_path: Path) -> None:
    held: list[int] = []
    shop = Shop(events=60_000, days=40)
    simulate.simulate(shop, tmp_path, on_day=lambda: held.append(pa.total_allocated_bytes()))
    assert len(held) == 40
    assert max(held[20:]) < 1.5 * max(held[8:20])  # deliveries take a week at most


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
