"""Bootstrap: how sure a metric is, where the same user stands in several rows.

Whole users are drawn with replacement, not rows: snapshots of one user are alike, and rows drawn by themselves would
make every interval too narrow (Field & Welsh 2007, Journal of the Royal Statistical Society B 69, "cluster bootstrap").
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ml.metrics import Weighted
from ml.snapshots import Array

_CELLS, _LEAST, _MOST = 10_000_000, 50, 200
_LEVEL = 0.95


def draws(user_keys: Array, *, seed: int = 0) -> Iterator[Array]:
    """How often each row counts, draw after draw; each array has shape (n,).

    There are up to 200 draws, and fewer (no fewer than 50) the more rows there are: intervals of many rows are narrow
    anyway.
    """
    _, user = np.unique(user_keys, return_inverse=True)
    users = int(user.max()) + 1
    generator = np.random.default_rng(seed)
    for _ in range(int(np.clip(_CELLS // len(user), _LEAST, _MOST))):
        yield np.bincount(generator.integers(0, users, users), minlength=users)[user]


def intervals(y: Array, probability: Array, user_keys: Array, *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95 % percentile interval of every metric.

    Args:
        y: Shape (n,), 0 or 1.
        probability: Shape (n,), of outcome 1.
        user_keys: Shape (n,), whose row it is.
        seed: Of the draws.
    """
    metrics = Weighted(y, probability)
    drawn = [metrics(weights) for weights in draws(user_keys, seed=seed)]
    tail = (1 - _LEVEL) / 2
    found: dict[str, tuple[float, float]] = {}
    for name in metrics(np.ones(len(y))):
        # A draw without one outcome has no ranking to measure.
        values = [draw[name] for draw in drawn if name in draw]
        if values:
            low, high = np.quantile(values, [tail, 1 - tail])
            found[name] = (float(low), float(high))
    return found


def paired_difference(loss: Array, other: Array, user_keys: Array, *, seed: int = 0) -> tuple[float, float, float]:
    """The mean of `loss - other` over rows, and the ends of its 95 % interval, both losses from the same draws.

    Args:
        loss: Shape (n,), one loss a row.
        other: Shape (n,), another's on the same rows.
        user_keys: Shape (n,), whose row it is.
        seed: Of the draws.
    """
    difference = np.asarray(loss, dtype=np.float64) - other
    drawn = [float(np.average(difference, weights=weights)) for weights in draws(user_keys, seed=seed)]
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(difference.mean()), float(low), float(high)
