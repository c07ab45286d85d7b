"""The simple rules a model must beat, together, and the one its trees may start from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml.baselines import BaseRate, LogisticBaseline, RecencyRule
from ml.buy_till_you_die import BuyTillYouDie, NoConvergenceError
from ml.predictor import Predictor
from ml.snapshots import Snapshots
from ml.spec import ModelSpec


def fit_rules(rows: Snapshots, spec: ModelSpec, *, horizon_days: int) -> list[Predictor]:
    """Every simple rule, fitted on the same labelled rows of both outcomes.

    BG/NBD is among them for a spec that asks for it, where anybody ever spent anything and the likelihood converges.
    """
    rules: list[Predictor] = [
        BaseRate(spec).fit(rows.x, rows.y),
        RecencyRule(spec).fit(rows.x, rows.y),
        LogisticBaseline(spec).fit(rows.x, rows.y),
    ]
    bg_nbd = _fit_bg_nbd(rows, spec, horizon_days=horizon_days)
    return [*rules, bg_nbd] if bg_nbd and _has_money(rows, spec) else rules


def fit_start(rows: Snapshots, spec: ModelSpec, *, horizon_days: int) -> BuyTillYouDie | None:
    """BG/NBD for the trees to start from, where the spec asks for it and its likelihood converges on these rows."""
    return _fit_bg_nbd(rows, spec, horizon_days=horizon_days)


def _fit_bg_nbd(rows: Snapshots, spec: ModelSpec, *, horizon_days: int) -> BuyTillYouDie | None:
    if not spec.buy_till_you_die:
        return None
    newest = ~pd.Series(rows.user_keys).duplicated(keep="last").to_numpy()
    try:
        return BuyTillYouDie(spec, horizon_days=horizon_days).fit(rows.x, rows.y, newest=newest)
    except NoConvergenceError:
        return None


def _has_money(rows: Snapshots, spec: ModelSpec) -> bool:
    return bool(np.any(np.nan_to_num(rows.x[:, spec.feature_names.index("revenue_lifetime")])))
