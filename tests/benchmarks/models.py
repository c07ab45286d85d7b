"""What models cost: scoring a million users, training on a million rows, and a million lifetime values.

Snapshots are drawn from a known law with every feature of the churn model, a tenth of the values missing. CPU seconds
are those of a process of its own for each step; what it takes to draw or read the rows is not counted. Peak memory is
the whole process's, the rows included.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from ml.churn import CHURN
from orchestration.settings import PROJECT_ROOT

HORIZON_DAYS = 30
# Of CPU seconds for scoring, and of seconds on the clock for training; each for a million.
BUDGETS = {"score": 10.0, "train": 120.0}
TRAINED_ON = 20_000


def snapshots(rows: int, *, cutoffs: int, seed: int = 0) -> pd.DataFrame:
    """Weekly snapshots, whose outcomes follow recency, activity and both together; it takes 20 cutoffs to train on."""
    rng = np.random.default_rng(seed)
    users = -(-rows // cutoffs)
    frame = {"user_key": np.tile([f"user-{n:09d}" for n in range(users)], cutoffs)[:rows]}
    newest = np.datetime64("2025-06-02")
    frame["as_of"] = np.repeat(newest - 7 * np.arange(cutoffs)[::-1], users)[:rows]
    activity = np.tile(rng.gamma(1.5, 1.0, users), cutoffs)[:rows]
    for number, feature in enumerate(CHURN.features):
        if feature.style == "share" or feature.maximum == 1:
            values = rng.random(rows)
        elif feature.style == "flag":
            values = (rng.random(rows) < 0.1).astype(float)
        else:
            values = np.floor(rng.gamma(1.0, 4.0, rows) * (activity if number % 2 else 1.0))
        if not feature.required:
            values[rng.random(rows) < 0.1] = np.nan
        frame[feature.name] = values.astype(np.float32)
    recency = np.floor(rng.exponential(15.0, rows)).clip(0, 89)
    days = np.minimum(rng.poisson(activity * 4) + 1, 90).astype(np.float64)
    frame |= {
        "recency_days": recency,
        "tenure_days": recency + rng.integers(0, 300, rows),
        "active_days_30d": np.minimum(days, 30),
        "active_days_lifetime": days,
    }
    odds = 1.2 * (np.log1p(recency) - 2.4) - 0.9 * (np.log1p(days) - 1.6) - 0.8 * (recency > 20) * (days < 3)
    churned = pd.array(rng.random(rows) < 1 / (1 + np.exp(-odds)), dtype="boolean")
    churned[frame["as_of"] + np.timedelta64(HORIZON_DAYS, "D") > newest] = pd.NA
    return pd.DataFrame({**frame, "churned": churned})


def customers(rows: int) -> pd.DataFrame:
    """Purchase summaries of a year, by the day, of customers who are what the models take them to be."""
    rng = np.random.default_rng(0)
    age = rng.integers(0, 365, rows)
    rate, leaves = rng.gamma(0.8, 1 / 40, rows), rng.beta(0.8, 2.4, rows)
    frequency, recency, clock, here = np.zeros(rows), np.zeros(rows), np.zeros(rows), np.arange(rows)
    while len(here):
        clock[here] += rng.exponential(1 / rate[here])
        here = here[np.ceil(clock[here]) <= age[here]]
        frequency[here] += np.ceil(clock[here]) > recency[here]
        recency[here] = np.ceil(clock[here])
        here = here[rng.random(len(here)) >= leaves[here]]
    bought = np.maximum(frequency, 1)
    spends = np.round(15.0 / rng.gamma(4.0, 1.0, rows) * rng.gamma(6.0 * bought) / bought, 4)
    mean = np.where(frequency > 0, spends, np.nan)
    return pd.DataFrame({"frequency": frequency, "recency": recency, "age": age, "mean_value": mean})


def measured(work: Callable[[], str]) -> dict[str, float | str]:
    """CPU seconds of all threads, seconds on the clock, peak memory in GB and what the work says of itself."""
    cpu, clock = time.process_time(), time.perf_counter()
    said = work()
    return {
        "cpu": time.process_time() - cpu,
        "clock": time.perf_counter() - clock,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "said": said,
    }


def step(name: str, rows: int, threads: int, tuning_seconds: float) -> dict[str, float | str]:
    """Do one step and measure it."""
    if name == "clv":
        from ml.clv import estimate

        summaries = customers(rows)
        return measured(lambda: estimate(summaries, horizon_days=90).said)

    from ml.scoring import score
    from ml.training import train

    if name == "score":
        model = train(snapshots(TRAINED_ON, cutoffs=30), CHURN, horizon_days=HORIZON_DAYS, n_jobs=threads)
        now = snapshots(rows, cutoffs=1, seed=1)
        return measured(lambda: f"{len(score(model, now)):,} users, {model.rounds} trees, reasons included")
    frame = snapshots(rows, cutoffs=30)

    def training() -> str:
        result = train(frame, CHURN, horizon_days=HORIZON_DAYS, n_jobs=threads, tuning_seconds=tuning_seconds)
        return f"{len(CHURN.features)} features, {result.rounds} trees, {result.trials} trials; {result.explanation}"

    return measured(training)


def main() -> None:
    """Print what each step costs beside its budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tuning-seconds", type=float, default=60.0)
    parser.add_argument("--steps", nargs="+", default=["score", "train", "clv"], choices=["score", "train", "clv"])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(step(options.one, options.rows, options.threads, options.tuning_seconds)))  # noqa: T201
        return
    table = Table(title=f"Models on {options.rows:,} rows and {options.threads} threads", title_justify="left")
    for heading in ("step", "CPU s", "s", "GB", "budget", "what it came to"):
        table.add_column(heading, justify="left" if heading in ("step", "what it came to") else "right")
    for name in options.steps:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.benchmarks.models", "--one", name),
                *("--rows", str(options.rows), "--threads", str(options.threads)),
                *("--tuning-seconds", str(options.tuning_seconds)),
            ],
            cwd=PROJECT_ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        budget = {"score": f"{BUDGETS['score']:.0f} CPU s", "train": f"{BUDGETS['train']:.0f} s"}.get(name, "")
        table.add_row(
            name, f"{found['cpu']:.1f}", f"{found['clock']:.1f}", f"{found['memory']:.1f}", budget, found["said"]
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
