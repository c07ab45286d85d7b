"""The warehouse file: opening it, the tables that exist before any model runs, and dbt over it."""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from orchestration.nights.damage import suspect
from orchestration.settings import DBT_PROJECT_DIR, Settings

MODELS = ("churn", "conversion")

PREDICTIONS = """
create table if not exists ml.{model}_predictions (
    user_key varchar, as_of date, probability double, decile integer, top_reasons varchar[],
    model_version varchar, is_base_rate boolean
)
"""

SCORE_HISTORY = """
create table if not exists ml.{model}_score_history (
    user_key varchar, as_of date, probability double, decile integer, model_version varchar, horizon_days integer,
    event varchar
)
"""

CLV_PREDICTIONS = """
create table if not exists ml.clv_predictions (
    user_key varchar, as_of date, probability_alive double, expected_purchases double, expected_order_value double,
    clv double, no_estimate_because varchar
)
"""

PREDICTED = (
    *(f"{model}_{what}" for model in MODELS for what in ("predictions", "score_history")),
    "clv_predictions",
)
"""The tables of schema ml: what a build reads besides the lake."""

# What a warehouse of an earlier version has not.
MIGRATIONS = (
    *(f"alter table ml.{model}_predictions add column if not exists is_base_rate boolean" for model in MODELS),
    *(
        f"alter table ml.{model}_score_history add column if not exists {column}"
        for model in MODELS
        for column in ("horizon_days integer", "event varchar")
    ),
    *(
        f"alter table ops.model_versions add column if not exists {column}"
        for column in (
            "is_champion boolean",
            "decision varchar",
            "trained_as_of date",
            "intervals varchar",
            "back_test varchar",
        )
    ),
)

OPS_RECORDS = ("runs", "restatements", "model_versions", "publications")
"""The tables of schema ops that no lake can give back."""

OPS_TABLES = (
    """
    create table if not exists ops.runs (
        run_id varchar, started_at timestamp, finished_at timestamp, seconds double, status varchar,
        step varchar, part_of varchar, rows bigint, cpu_seconds double, peak_memory_bytes bigint
    )
    """,
    # Of warehouses from before a run's steps were measured.
    *(
        f"alter table ops.runs add column if not exists {column}"
        for column in (
            "step varchar",
            "part_of varchar",
            "rows bigint",
            "cpu_seconds double",
            "peak_memory_bytes bigint",
        )
    ),
    """
    create table if not exists ops.restatements (
        run_id varchar, restated_at timestamp, table_name varchar, reason varchar,
        rows_added bigint, rows_removed bigint, rows_changed bigint
    )
    """,
    """
    create table if not exists ops.model_versions (
        model varchar, version varchar, trained_at timestamp, estimator varchar, verdict varchar,
        explanation varchar, metrics varchar, features varchar, params varchar, n_train bigint, n_test bigint,
        data_fingerprint varchar, path varchar, is_champion boolean, decision varchar, trained_as_of date,
        intervals varchar, back_test varchar
    )
    """,
    """
    create table if not exists ops.publications (
        publication_id varchar, published_at timestamp, run_id varchar, loads varchar[],
        first_event_ts timestamp, last_event_ts timestamp, checks_passed varchar[], checks_failed varchar[],
        publication_number bigint
    )
    """,
    # Of warehouses from before there was a number.
    "alter table ops.publications add column if not exists publication_number bigint",
)

INCREMENTS_TABLES = (
    """
    create table if not exists increments.built_models (
        model varchar primary key, is_incremental boolean, fingerprint varchar, built_seq bigint, run_id varchar,
        built_at timestamp
    )
    """,
    """
    create table if not exists increments.event_changes (
        change_seq bigint, user_key varchar, event_ts timestamp, reason varchar, is_purchase boolean
    )
    """,
    "create table if not exists increments.work_done (work varchar primary key, inputs varchar, outcome varchar)",
)


STORAGE_VERSION = "v1.5.0"
"""Newer encodings take a quarter off what writing costs. People open the published file, not this one."""
BYTES_A_THREAD = 64_000_000
"""Of the warehouse and the lake: what it takes to keep a thread of DuckDB busy."""


class DbtFailed(Exception):  # noqa: N818 - reads as what happened
    """A dbt command failed; the message names each failed node and its reason.

    ``results`` holds what dbt did get done, one result a node; ``passed_before`` the tests that did not run again.
    """

    def __init__(self, message: str, results: list[Any], passed_before: Collection[str] = ()) -> None:
        super().__init__(message)
        self.results = results
        self.passed_before = passed_before


def threads_for(settings: Settings) -> int:
    """How many threads DuckDB is to work on the warehouse with: one where it is small, and never more than are allowed.

    DuckDB deals out rows by the hundred thousand. A thread that gets none of them looks for work all the same, query
    after query, at half of what the query costs.
    """
    files = [settings.warehouse, *settings.lake.rglob("*.parquet")]
    held = sum(path.stat().st_size for path in files if path.exists())
    return max(1, min(settings.threads, held // BYTES_A_THREAD))


@contextmanager
def connect(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for writing, with the schemas and tables that models expect to find."""
    settings.warehouse.parent.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": settings.memory_limit,
        "threads": threads_for(settings),
        "storage_compatibility_version": STORAGE_VERSION,
    }
    with _suspicious(settings), duckdb.connect(str(settings.warehouse), config=config) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for schema in ("ops", "increments", "ml", "marts", "features"):
            connection.execute(f"create schema if not exists {schema}")
        for table in (*OPS_TABLES, *INCREMENTS_TABLES):
            connection.execute(table)
        for model in MODELS:
            connection.execute(PREDICTIONS.format(model=model))
            connection.execute(SCORE_HISTORY.format(model=model))
        connection.execute(CLV_PREDICTIONS)
        for statement in MIGRATIONS:
            connection.execute(statement)
        yield connection


@contextmanager
def _suspicious(settings: Settings) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        suspect(settings, str(error))
        raise


def run_dbt(
    command: Sequence[str],
    settings: Settings,
    variables: Mapping[str, Any],
    on_event: Callable[[Any], None] | None = None,
    *,
    parsed: Any = None,
) -> Any:
    """Run one dbt command in this process and give its result.

    In process it costs a half to a third of a subprocess; dbt-duckdb keeps the file open after it returns, so its
    connections are closed here and the warehouse is free again.

    Args:
        command: dbt's own words, such as ``["build", "--select", "marts"]``.
        settings: Where the warehouse lives.
        variables: What ``avila.yml`` declares, as dbt reads it.
        on_event: Called with every structured dbt event.
        parsed: What ``["parse"]`` gave for the same variables, to spare dbt reading the project again.

    Raises:
        DbtFailed: A node failed, or the project does not parse.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    os.environ.update(
        AVILA_WAREHOUSE=str(settings.warehouse),
        AVILA_MEMORY_LIMIT=settings.memory_limit,
        # With another number dbt would read the whole project anew.
        AVILA_THREADS=str(settings.threads if parsed is None else threads_for(settings)),
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
    )
    # The page's manifest is a compiled one; the one that is read again is not.
    target = settings.root / "warehouse" / ("dbt_docs" if "docs" in command else "dbt")
    for node in parsed.nodes.values() if parsed is not None else ():
        # A run leaves its mark, and the next would take the ephemeral models to be in the SQL already.
        node.extra_ctes_injected, node.extra_ctes = False, []
    try:
        result = dbtRunner(manifest=parsed, callbacks=[on_event] if on_event else []).invoke(
            [
                *command,
                "--project-dir", str(DBT_PROJECT_DIR),
                "--profiles-dir", str(DBT_PROJECT_DIR),
                "--target-path", str(target),
                "--log-path", str(target),
                "--log-level", "none",
                # Only what a parse writes is read again, and what the page is made of.
                *([] if {"parse", "docs"} & set(command) else ["--no-write-json"]),
                # dbt reads it as YAML, which has no escape for an emoji in two halves, as JSON has.
                "--vars", json.dumps({**variables, "lake_dir": str(settings.lake)}, ensure_ascii=False),
            ]
        )  # fmt: skip
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not result.success:
        suspect(settings, _explanation(result))
        raise DbtFailed(_explanation(result), list(getattr(result.result, "results", [])))
    return result.result


def _explanation(result: Any) -> str:
    if result.exception is not None:
        return str(result.exception)
    failed = [node for node in result.result if node.status in ("error", "fail", "runtime error")]
    return "\n".join(f"{node.node.name}: {(node.message or '').strip()}" for node in failed)
