"""Scoring: a probability, a decile and reasons for every user."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from ml.baselines import BaseRate
from ml.boosting import BoostedTrees
from ml.predictor import Predictor
from ml.reasons import top_reasons
from ml.snapshots import Array, Snapshots
from ml.spec import ModelSpec

MAX_DECILE = 10
# Exact SHAP values of 100 trees of depth 4 take about 0.2 ms of CPU a user: 10 s for this many.
EXACT_REASONS_USERS = 50_000
# Rows explained at a time: bounds memory, changes nothing.
_CHUNK = 100_000


class Scorer(Protocol):
    """A training result or a model loaded from the registry."""

    @property
    def spec(self) -> ModelSpec:
        """The model's definition."""
        ...

    @property
    def predictor(self) -> Predictor:
        """What gives the probabilities."""
        ...

    @property
    def version(self) -> str:
        """What scores are signed with."""
        ...


def score(model: Scorer, frame: pd.DataFrame) -> pd.DataFrame:
    """Scores every row of a features table, sorted by (as_of, user_key).

    Args:
        model: A training result or a loaded model.
        frame: One row per (user_key, as_of) with the model's features; the label is not read.

    Returns:
        user_key; as_of, a date; probability in [0, 1]; decile, 1 to 10 within its as_of, 10 the highest
        probabilities; top_reasons, a list of up to three sentences, strongest first (see
        `ml.reasons.top_reasons`; above 50,000 users they rest on approximate SHAP values); model_version;
        is_base_rate, whether everyone merely got the base rate.

    Raises:
        ValueError: The frame breaks its contract (see `Snapshots.from_frame`).
    """
    users = Snapshots.from_frame(frame, model.spec, with_label=False)
    probability = model.predictor.predict_proba(users.x)[:, 1]
    return pd.DataFrame(
        {
            "user_key": pd.array(users.user_keys, dtype="str"),
            "as_of": pd.arrays.ArrowExtensionArray(pa.array(users.as_of, type=pa.date32())),
            "probability": probability,
            "decile": deciles(probability, users.as_of),
            "top_reasons": _reasons(model, users.x),
            "model_version": pd.array([model.version] * len(users), dtype="str"),
            "is_base_rate": isinstance(model.predictor, BaseRate),
        }
    )


def deciles(probability: Array, as_of: Array) -> Array:
    """Deciles 1 to 10 within each as-of date, 10 the highest.

    A row's decile is where the middle of its ties lies in the ranking: equal probabilities always share a
    decile, all equal means decile 6, and without ties each decile holds a tenth, give or take one row.
    """
    p = pd.Series(probability)
    dates = p.groupby(np.asarray(as_of), sort=False)
    # Twice the middle rank less one is a whole number, so the division is exact.
    doubled = (2 * dates.rank(method="average") - 1).to_numpy(dtype=np.int64)
    rows = dates.transform("size").to_numpy(dtype=np.int64)
    return np.asarray(MAX_DECILE * doubled // (2 * rows) + 1)


def _reasons(model: Scorer, x: Array) -> pd.Series[pd.ArrowDtype]:
    """A column of lists of text."""
    lists: list[pa.ListArray] = []
    for start in range(0, len(x), _CHUNK):
        chunk = x[start : start + _CHUNK]
        if isinstance(model.predictor, BoostedTrees):
            moved = model.predictor.contributions(chunk, exact=len(x) <= EXACT_REASONS_USERS)
        else:
            moved = model.predictor.contributions(chunk)
        sentences, count = top_reasons(model.spec, chunk, moved)
        held = sentences[np.arange(sentences.shape[1]) < count[:, None]]
        offsets = np.append(0, np.cumsum(count)).astype(np.int32)
        lists.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(held, type=pa.string())))
    column = pa.chunked_array(lists, type=pa.list_(pa.string()))
    return pd.Series(pd.arrays.ArrowExtensionArray(column))
