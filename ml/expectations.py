"""Great Expectations gates around features and scores: what they must be before anyone reads them.

Importing Great Expectations takes seconds, so nothing here does until a check runs.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml.scoring import MAX_DECILE
from ml.spec import ModelSpec

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a gate found.

    Attributes:
        passed: Whether every expectation holds.
        checked: How many expectations were checked.
        failures: Each failed one in words, with the number of rows and a few examples.
        rows: Rows of the frame.
    """

    passed: bool
    checked: int
    failures: tuple[str, ...]
    rows: int


def check_features(frame: pd.DataFrame, spec: ModelSpec) -> Audit:
    """Audits a features table.

    One row per (user_key, as_of), keys present, every feature within its lawful range and no wider window
    below a narrower one, and no label as of the newest date, whose horizon has only begun.

    Args:
        frame: The features table with its label.
        spec: The model.
    """
    if missing := _missing(frame, ["user_key", "as_of", *spec.feature_names, spec.label]):
        return missing
    gxe = _great_expectations().expectations
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
    return _audit(columns, suite, keys=["user_key", "as_of"])


def check_scores(frame: pd.DataFrame, *, expected_rows: int | None = None) -> Audit:
    """Audits scores before they are published: one row per user, one as-of date, probabilities, deciles.

    Args:
        frame: What `ml.scoring.score` returned.
        expected_rows: How many users were to be scored, where known: nobody is dropped.
    """
    if missing := _missing(frame, ["user_key", "as_of", "probability", "decile", "model_version"]):
        return missing
    gxe = _great_expectations().expectations
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
    return _audit(columns, suite, keys=["user_key"])


def _missing(frame: pd.DataFrame, names: list[str]) -> Audit | None:
    failures = tuple(f"column {name} is missing" for name in names if name not in frame.columns)
    if not failures:
        return None
    return Audit(passed=False, checked=len(names), failures=failures, rows=len(frame))


def _great_expectations() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # Deprecations inside its own dependencies are not ours to mend.
        warnings.simplefilter("ignore")
        import great_expectations
        import great_expectations.expectations
    return great_expectations


def _audit(frame: pd.DataFrame, suite: dict[str, Expectation], *, keys: list[str]) -> Audit:
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    for words, expectation in suite.items():
        expectation.meta = {"failure": words}
    result = batch.validate(
        gx.ExpectationSuite(name="gate", expectations=list(suite.values())),
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": keys,
            "partial_unexpected_count": _EXAMPLES,
        },
    )
    failures = tuple(_failure(check) for check in result.results if not check.success)
    return Audit(passed=not failures, checked=len(suite), failures=failures, rows=len(frame))


def _failure(check: ExpectationValidationResult) -> str:
    """A failed expectation in words: what, how many rows, which for example."""
    words = check.expectation_config.meta["failure"]  # type: ignore[union-attr]
    found = check.result
    if "unexpected_count" not in found:
        observed = found.get("observed_value")
        return f"{words} (found {observed})" if observed is not None else f"{words} (could not be checked)"
    examples = [
        ", ".join(f"{name} {_plain(value)}" for name, value in row.items())
        for row in found.get("partial_unexpected_index_list") or []
    ]
    which = f", for example {'; '.join(dict.fromkeys(examples))}" if examples else ""
    return f"{words} in {found['unexpected_count']:,} of {found['element_count']:,} rows{which}"


def _plain(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else f"{value}"


def _range(minimum: float | None, maximum: float | None) -> str:
    low = "(-∞" if minimum is None else f"[{minimum:g}"
    high = "∞)" if maximum is None else f"{maximum:g}]"
    return f"{low}, {high}"
