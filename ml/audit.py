"""What a suite of Great Expectations finds in a frame, in words.

Importing Great Expectations takes seconds, so nothing here does until a frame is audited.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation import Expectation

_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One expectation, and whether it held.

    Attributes:
        fault: What must not be, in words.
        kind: What Great Expectations calls it.
        holds: Whether it held.
        found: How often it did not, or what was found in place of it; empty where there is nothing to say.
    """

    fault: str
    kind: str
    holds: bool
    found: str


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a suite found.

    Attributes:
        passed: Whether every expectation holds.
        checked: How many expectations were checked.
        failures: Each failed one in words, with the number of rows, a few examples and the cure, if there is one.
        rows: Rows of the frame.
        expected: Every expectation.
    """

    passed: bool
    checked: int
    failures: tuple[str, ...]
    rows: int
    expected: tuple[Expected, ...] = ()


def great_expectations() -> Any:
    """The library, imported now and kept from telling anyone."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # Deprecations inside its own dependencies are not ours to mend.
        warnings.simplefilter("ignore")
        import great_expectations
        import great_expectations.expectations
    return great_expectations


def lacking(frame: pd.DataFrame, names: list[str]) -> Audit | None:
    """An audit that failed, where a frame lacks a column; else nothing."""
    failures = tuple(f"column {name} is missing" for name in names if name not in frame.columns)
    if not failures:
        return None
    return Audit(passed=False, checked=len(names), failures=failures, rows=len(frame))


def audit(
    frame: pd.DataFrame,
    suite: dict[str, Expectation],
    *,
    keys: list[str],
    unit: str = "rows",
    cures: dict[str, str] | None = None,
) -> Audit:
    """Asks a frame all that a suite expects of it.

    Args:
        frame: The frame.
        suite: Expectations by what is wrong where one does not hold, in words.
        keys: The columns that name a row.
        unit: What a row is called.
        cures: By the same words, what to do about it.
    """
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    for words, expectation in suite.items():
        expectation.meta = {"fault": words}
    # Which rows are meant costs as much as whether there are any, so it is asked only of what failed.
    quick = batch.validate(_suite(gx, suite), result_format="BOOLEAN_ONLY")
    checks = {check.expectation_config.meta["fault"]: check for check in quick.results}
    failed = {words: expectation for words, expectation in suite.items() if not checks[words].success}
    if failed:
        closer = batch.validate(
            _suite(gx, failed),
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": keys,
                "partial_unexpected_count": _EXAMPLES,
            },
        )
        checks |= {check.expectation_config.meta["fault"]: check for check in closer.results}
    failures = tuple(
        f"{words}{_told(check, unit)}" + (f". {cures[words]}" if cures and words in cures else "")
        for words, check in checks.items()
        if not check.success
    )
    expected = tuple(
        Expected(
            fault=words,
            kind=check.expectation_config.type,
            holds=bool(check.success),
            found=_told(check, unit).strip() if not check.success else "",
        )
        for words, check in checks.items()
    )
    return Audit(passed=not failures, checked=len(suite), failures=failures, rows=len(frame), expected=expected)


def _suite(gx: Any, expectations: dict[str, Expectation]) -> Any:
    return gx.ExpectationSuite(name="gate", expectations=list(expectations.values()))


def _told(check: ExpectationValidationResult, unit: str) -> str:
    """How a failed expectation came out: how many rows, which for example."""
    found = check.result
    if "unexpected_count" not in found:
        observed = found.get("observed_value")
        return f" (found {observed})" if observed is not None else " (could not be checked)"
    examples = [
        ", ".join(f"{name} {_plain(value)}" for name, value in row.items())
        for row in found.get("partial_unexpected_index_list") or []
    ]
    which = f", for example {'; '.join(dict.fromkeys(examples))}" if examples else ""
    return f" in {found['unexpected_count']:,} of {found['element_count']:,} {unit}{which}"


def _plain(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return f"{value:g}" if isinstance(value, float) else f"{value}"
