"""Great Expectations gates around features and scores: what they must be before anyone reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ml.audit import Audit, audit, great_expectations, lacking
from ml.scoring import MAX_DECILE
from ml.spec import ModelSpec

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation


def check_features(frame: pd.DataFrame, spec: ModelSpec) -> Audit:
    """Audits a features table.

    One row per (user_key, as_of), keys present, every feature within its lawful range and no wider window
    below a narrower one, and no label as of the newest date, whose horizon has only begun.

    Args:
        frame: The features table with its label.
        spec: The model.
    """
    if missing := lacking(frame, ["user_key", "as_of", *spec.feature_names, spec.label]):
        return missing
    gxe = great_expectations().expectations
    columns = frame[["user_key", "as_of", *spec.feature_names]].copy()
    columns["as_of"] = pd.to_datetime(columns["as_of"])
    columns["labelled as of the newest date"] = (
        frame[spec.label].notna() & (columns["as_of"] == columns["as_of"].max())
    ).astype("int8")
    suite: dict[str, Expectation] = {
        "user_key is null": gxe.ExpectColumnValuesToNotBeNull(column="user_key"),
        "as_of is null": gxe.ExpectColumnValuesToNotBeNull(column="as_of"),
        "a user_key appears twice as of one date": gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["user_key", "as_of"]
        ),
        f"{spec.label} is known as of the newest date, before its horizon has passed": (
            gxe.ExpectColumnValuesToBeInSet(column="labelled as of the newest date", value_set=[0])
        ),
    }
    for feature in spec.features:
        low = float("-inf") if feature.minimum is None else feature.minimum
        high = float("inf") if feature.maximum is None else feature.maximum
        # Strict bounds at infinity: unbounded does not mean that infinity is a value.
        suite[f"{feature.name} is outside {_range(feature.minimum, feature.maximum)}"] = (
            gxe.ExpectColumnValuesToBeBetween(
                column=feature.name,
                min_value=low,
                max_value=high,
                strict_min=feature.minimum is None,
                strict_max=feature.maximum is None,
            )
        )
        if feature.required:
            suite[f"{feature.name} is null"] = gxe.ExpectColumnValuesToNotBeNull(column=feature.name)
        if feature.within in spec.feature_names:
            suite[f"{feature.name} exceeds {feature.within}"] = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=feature.within,
                column_B=feature.name,
                or_equal=True,
                ignore_row_if="either_value_is_missing",
            )
    return audit(columns, suite, keys=["user_key", "as_of"])


def check_scores(frame: pd.DataFrame, *, expected_rows: int | None = None) -> Audit:
    """Audits scores before they are published: one row per user, one as-of date, probabilities, deciles.

    Args:
        frame: What `ml.scoring.score` returned.
        expected_rows: How many users were to be scored, where known: nobody is dropped.
    """
    if missing := lacking(frame, ["user_key", "as_of", "probability", "decile", "model_version"]):
        return missing
    gxe = great_expectations().expectations
    columns = frame[["user_key", "as_of", "probability", "decile", "model_version"]].copy()
    columns["as_of"] = pd.to_datetime(columns["as_of"])
    suite: dict[str, Expectation] = {
        **{
            f"{name} is null": gxe.ExpectColumnValuesToNotBeNull(column=name)
            for name in ("user_key", "as_of", "probability", "decile", "model_version")
        },
        "a user_key is scored twice": gxe.ExpectColumnValuesToBeUnique(column="user_key"),
        "as_of differs between users": gxe.ExpectColumnUniqueValueCountToBeBetween(column="as_of", max_value=1),
        "probability is outside [0, 1]": gxe.ExpectColumnValuesToBeBetween(
            column="probability", min_value=0, max_value=1
        ),
        f"decile is not a whole number from 1 to {MAX_DECILE}": gxe.ExpectColumnValuesToBeInSet(
            column="decile", value_set=list(range(1, MAX_DECILE + 1))
        ),
    }
    if expected_rows is not None:
        suite[f"the number of users scored is not {expected_rows:,}"] = gxe.ExpectTableRowCountToEqual(
            value=expected_rows
        )
    return audit(columns, suite, keys=["user_key"])


def _range(minimum: float | None, maximum: float | None) -> str:
    low = "(-∞" if minimum is None else f"[{minimum:g}"
    high = "∞)" if maximum is None else f"{maximum:g}]"
    return f"{low}, {high}"
