"""Gates of Great Expectations in Dagster: an audit, or what it found before in the same rows; and its page."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, MetadataValue

from orchestration import data_docs, ledger
from orchestration.gates import Verdict
from orchestration.settings import Settings

if TYPE_CHECKING:
    from ml.audit import Audit


def gate(
    context: AssetCheckExecutionContext,
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    suite: data_docs.Suite,
    inputs: str,
    audit: Callable[[], "Audit"],
    verdict: Verdict,
    check: str | None = None,
) -> AssetCheckResult:
    """Audit, and note it for the page of all suites.

    Great Expectations takes seconds to import, so that what passed before is not asked again.

    Args:
        context: The check's.
        connection: The open warehouse.
        settings: Where the page goes.
        suite: Which suite it is.
        inputs: A fingerprint of all that decides what the audit finds.
        audit: Asks the suite.
        verdict: What a failure does.
        check: The check's name, where its step has others.
    """
    work = f"audit of {suite.name}"
    passed_before = ledger.known(connection, work, inputs)
    if passed_before:
        found = json.loads(passed_before)
    else:
        found = {**asdict(audit()), "audited_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}
        if found["passed"]:
            ledger.note(connection, work, inputs, json.dumps(found))
    data_docs.keep(settings.data_docs, suite, found)
    outcome = f"{found['checked']} expectations over {found['rows']:,} {suite.unit}"
    all_hold = "all hold, as they did for the same rows before" if passed_before else "all hold"
    context.log.info(f"{suite.name}: {outcome}: {all_hold if found['passed'] else '; '.join(found['failures'])}")
    return AssetCheckResult(
        check_name=check,
        passed=found["passed"],
        severity=AssetCheckSeverity.WARN if verdict == "warn" else AssetCheckSeverity.ERROR,
        description=f"{outcome} hold" if found["passed"] else "\n".join(found["failures"]),
        metadata={
            "expectations": found["checked"],
            suite.unit: found["rows"],
            "data_docs": MetadataValue.path(str(settings.data_docs / data_docs.PAGE)),
        },
    )
