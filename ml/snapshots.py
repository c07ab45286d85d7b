"""Snapshots: a features table as arrays, in one order whatever order its rows came in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.spec import ModelSpec

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshots:
    """Users as seen at as-of dates, sorted by (as_of, user_key).

    Attributes:
        user_keys: Shape (n,), str.
        as_of: Shape (n,), datetime64[D].
        x: Shape (n, k), float32, nulls as NaN. (XGBoost splits in float32; counts are exact to 16 million.)
        y: Shape (n,), float32: 1.0, 0.0, or NaN where the label is unknown.
    """

    user_keys: Array
    as_of: Array
    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.user_keys)

    @property
    def rarest(self) -> int:
        """How many rows have the rarer outcome, of labelled ones."""
        return int(min(self.y.sum(), len(self) - self.y.sum()))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, spec: ModelSpec, *, with_label: bool = True) -> Snapshots:
        """Reads a features table.

        Args:
            frame: One row per (user_key, as_of), with the spec's features and, if asked for, its label.
            spec: The model.
            with_label: Whether to read the label; otherwise every label is unknown.

        Raises:
            ValueError: A column is missing or not numeric, a key is null, a date carries a time of day, a
                (user_key, as_of) is repeated, a value is infinite, or a label is not boolean.
        """
        table = f"the features of model {spec.name}"
        wanted = ["user_key", "as_of", *spec.feature_names, *([spec.label] if with_label else [])]
        if missing := [name for name in wanted if name not in frame.columns]:
            raise ValueError(
                f"{table} lack {', '.join(missing)}; add them to the dbt features model or drop them from "
                f"the model's features in ml/"
            )
        as_of = _dates(frame["as_of"], table)
        if frame["user_key"].isna().any():
            row = int(np.flatnonzero(frame["user_key"].isna())[0])
            raise ValueError(f"{table}: user_key is null in row {row}; every snapshot needs its user")

        keys = frame["user_key"].astype("str").to_numpy(dtype=object)
        order = np.lexsort((pd.factorize(keys, sort=True)[0], as_of))
        in_order = bool((order[1:] > order[:-1]).all())
        keys, as_of = keys[order], as_of[order]
        repeated = (keys[1:] == keys[:-1]) & (as_of[1:] == as_of[:-1])
        if repeated.any():
            first = int(np.flatnonzero(repeated)[0])
            raise ValueError(
                f"{table} repeat {int(repeated.sum())} (user_key, as_of), first {keys[first]} as of "
                f"{as_of[first]}; keep one row for each"
            )
        x = np.empty((len(frame), len(spec.features)), dtype=np.float32)
        for column, name in enumerate(spec.feature_names):
            numbers = _numbers(frame[name], f"{table}: {name}")
            # A table that is read in order is not worth moving about, a random access a value.
            x[:, column] = numbers if in_order else numbers[order]
        infinite = np.argwhere(np.isinf(x))
        if len(infinite):
            row, column = infinite[0]
            raise ValueError(
                f"{table}: {spec.feature_names[column]} is infinite for user_key {keys[row]} as of "
                f"{as_of[row]}; guard the division in the dbt features model"
            )
        if with_label:
            y = _booleans(frame[spec.label], f"{table}: {spec.label}")[order]
        else:
            y = np.full(len(frame), np.nan, dtype=np.float32)
        return cls(user_keys=keys, as_of=as_of, x=x, y=y)

    def take(self, rows: Array) -> Snapshots:
        """The rows a boolean mask or an index array selects, in order."""
        return replace(self, user_keys=self.user_keys[rows], as_of=self.as_of[rows], x=self.x[rows], y=self.y[rows])

    def labelled(self) -> Snapshots:
        """The rows whose outcome is known."""
        return self.take(~np.isnan(self.y))

    def at(self, cutoffs: Array) -> Snapshots:
        """The rows as of any of these dates."""
        return self.take(np.isin(self.as_of, cutoffs))

    def of_some_users(self, most_rows: int) -> Snapshots:
        """All rows of about as many users as give so many rows, the same ones whenever the rows are the same."""
        every = -(-len(self) // most_rows)
        if every <= 1:
            return self
        return self.take(pd.factorize(self.user_keys)[0] % every == 0)

    def fingerprint(self) -> str:
        """SHA-256 of keys, dates, features and labels; the same for the same rows in any order."""
        digest = hashlib.sha256()
        digest.update("\x1f".join(self.user_keys).encode())
        digest.update(self.as_of.astype("int64").tobytes())
        for values in (self.x, self.y):
            # One bit pattern for each value: -0.0 becomes 0.0, and every NaN the same NaN.
            canonical = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))
            digest.update(np.ascontiguousarray(canonical).tobytes())
        return digest.hexdigest()


def _dates(column: pd.Series[Any], table: str) -> Array:
    stamps = pd.to_datetime(column)
    if stamps.isna().any():
        row = int(np.flatnonzero(stamps.isna())[0])
        raise ValueError(f"{table}: as_of is null in row {row}; every snapshot needs its date")
    days = stamps.to_numpy(dtype="datetime64[D]")
    if (stamps.to_numpy() != days).any():
        odd = stamps.to_numpy()[stamps.to_numpy() != days][0]
        raise ValueError(f"{table}: as_of {odd} carries a time of day; an as_of is a date, cut at midnight")
    return days


def _numbers(column: pd.Series[Any], where: str) -> Array:
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is not numeric ({error}); cast it in the dbt features model") from error


def _booleans(column: pd.Series[Any], where: str) -> Array:
    try:
        return column.astype("boolean").to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is not a nullable boolean ({error}); cast it in the dbt features model") from error
