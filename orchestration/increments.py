"""What dbt may bring up to date, and what it must build anew because its definition has changed.

A model is defined by its SQL, the macros and declarations it uses, and the models it reads. The fingerprint of all that
is kept with each incremental model; where it has changed, the model and all that follow from it are dropped, so that
dbt builds them anew. A build that was killed half-way leaves them missing, and the next one builds them.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import duckdb

from orchestration.fingerprints import fingerprints, models_of, parents_of
from orchestration.settings import Settings
from orchestration.warehouse import DbtFailed, connect, run_dbt


def build(
    settings: Settings,
    variables: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    select: Sequence[str],
    run_id: str | None = None,
    say: Callable[[str], None] = lambda said: None,
    parsed: Any = None,
    on_event: Callable[[Any], None] | None = None,
) -> list[Any]:
    """Build and test some models, each at the cost of what is new where that is possible.

    What is new is found out at the first models and handed down, so those that this run has not built yet are built
    with the ones they lead to.

    Args:
        settings: Where the warehouse lives.
        variables: What ``avila.yml`` declares, as dbt reads it.
        manifest: dbt's, as it writes it.
        select: The names of the models, or other words of dbt for them.
        run_id: The run that this is a part of, as `ops.restatements` is to call it; by default, a run of its own.
        say: Told what is built anew, and why.
        parsed: The project as dbt parsed it, to spare dbt reading it again.
        on_event: Told of all that dbt says while it runs.

    Returns:
        dbt's result of each model and test; of tests alone if nothing has come or gone since the models were built.

    Raises:
        DbtFailed: A model or a test failed; what did succeed is kept.
    """
    with connect(settings) as connection:
        dropped = drop_outdated(connection, manifest, variables)
        seq = last_seq(connection)
        names = [*select, *unbuilt_ancestors(connection, manifest, select, run_id=run_id)]
        up_to_date = is_up_to_date(connection, manifest, variables, names, seq=seq)
    if up_to_date:
        say("dbt: no dump has come or gone since these models were built; they are tested as they are")
    if dropped:
        say(f"dbt: built anew, for their definition or one they follow from has changed: {', '.join(dropped)}")
    if run_id is not None:
        os.environ["AVILA_RUN_ID"] = run_id
    failure = None
    try:
        results = run_dbt(
            [
                *("test" if up_to_date else "build", "--select", *names),
                *("--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"),
            ],
            settings,
            variables,
            on_event,
            parsed=parsed,
        ).results
    except DbtFailed as error:
        results, failure = error.results, error
    succeeded = [r.node.name for r in results if r.node.resource_type == "model" and r.status == "success"]
    built = names if up_to_date else succeeded
    with connect(settings) as connection:
        note_built(connection, manifest, variables, built=built, seq=seq, run_id=run_id)
    if failure is not None:
        raise failure
    return list(results)


def incremental_models(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The incremental models, by name.

    Args:
        manifest: dbt's, as it writes it.
    """
    return {node["name"]: node for node in models_of(manifest).values() if _is_incremental(node)}


def drop_outdated(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[str]:
    """Drop every incremental model that has to be built anew, in one transaction; returns their names.

    Those are the ones whose definition is not the one they were built from, or that read one that has to be.
    """
    models, prints = models_of(manifest), fingerprints(manifest, variables)
    built = dict(connection.execute("select model, fingerprint from increments.built_models").fetchall())
    tables = {
        (schema, name): kind
        for schema, name, kind in connection.execute(
            "select table_schema, table_name, table_type from information_schema.tables"
        ).fetchall()
    }
    outdated: dict[str, bool] = {}

    def is_outdated(unique_id: str) -> bool:
        if unique_id not in outdated:
            node = models[unique_id]
            name = node["name"]
            known = (node["schema"], name) in tables and built.get(name) == prints[name]
            behind = any(is_outdated(parent) for parent in parents_of(node, models))
            outdated[unique_id] = behind or (_is_incremental(node) and not known)
        return outdated[unique_id]

    dropped = []
    connection.begin()
    connection.execute(
        "delete from increments.built_models where model not in (select unnest(?))",
        [[node["name"] for node in models.values()]],
    )
    for unique_id, node in models.items():
        if is_outdated(unique_id) and _is_incremental(node):
            kind = tables.get((node["schema"], node["name"]))
            if kind is not None:
                what = "view" if kind == "VIEW" else "table"
                connection.execute(f'drop {what} {node["schema"]}."{node["name"]}"')
                dropped.append(node["name"])
            connection.execute("delete from increments.built_models where model = ?", [node["name"]])
    connection.commit()
    return dropped


def unbuilt_ancestors(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    names: Iterable[str],
    *,
    run_id: str | None,
) -> list[str]:
    """The models that some follow from, but for those among them and those that the run has built already."""
    models = models_of(manifest)
    by_name = {node["name"]: unique_id for unique_id, node in models.items()}
    waiting = [by_name[name] for name in names if name in by_name]
    seen = set(waiting)
    while waiting:
        for parent in models[waiting.pop()]["depends_on"]["nodes"]:
            if parent in models and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    query = "select model from increments.built_models where run_id = ?"
    built = {name for (name,) in connection.execute(query, [run_id]).fetchall()}
    return sorted({models[unique_id]["name"] for unique_id in seen} - built - set(names))


def is_up_to_date(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    variables: Mapping[str, Any],
    names: Iterable[str],
    *,
    seq: int,
) -> bool:
    """Whether all of some models were built from these definitions and loads, and from nothing else that may change."""
    nodes = {node["name"]: node for node in models_of(manifest).values()}
    prints = fingerprints(manifest, variables)
    query = "select model, fingerprint from increments.built_models where built_seq = ?"
    built = dict(connection.execute(query, [seq]).fetchall())
    return all(
        name in nodes
        and (built.get(name) == prints[name] or _is_ephemeral(nodes[name]))
        and not any(parent.startswith("source.avila.ml.") for parent in nodes[name]["depends_on"]["nodes"])
        for name in names
    )


def behind(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[str]:
    """The models that were not built from these definitions and all loads, by name."""
    prints, seq = fingerprints(manifest, variables), last_seq(connection)
    query = "select model, fingerprint from increments.built_models where built_seq = ?"
    built = dict(connection.execute(query, [seq]).fetchall())
    kept = {node["name"] for node in models_of(manifest).values() if not _is_ephemeral(node)}
    return sorted(name for name in kept if built.get(name) != prints[name])


def last_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the last load or retirement that `ops.loads` has; 0 without any."""
    has_loads = connection.execute(
        "select count(*) from information_schema.tables where table_schema = 'ops' and table_name = 'loads'"
    ).fetchall()[0][0]
    if not has_loads:
        return 0
    query = "select coalesce(max(greatest(load_seq, coalesce(retired_seq, 0))), 0) from ops.loads"
    return int(connection.execute(query).fetchall()[0][0])


def applied_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """The number up to which every incremental model has taken in the loads; 0 where none is built."""
    query = "select coalesce(min(built_seq), 0) from increments.built_models where is_incremental"
    return int(connection.execute(query).fetchall()[0][0])


def note_built(
    connection: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    variables: Mapping[str, Any],
    *,
    built: Iterable[str],
    seq: int,
    run_id: str | None = None,
) -> None:
    """Note which models have taken in all loads up to a number, and forget the changes that all have.

    Args:
        connection: The open warehouse.
        manifest: dbt's.
        variables: What ``avila.yml`` declares.
        built: The names of the models dbt has built.
        seq: From `last_seq`, as it was when dbt began.
        run_id: The run that has built them.
    """
    prints, incremental = fingerprints(manifest, variables), incremental_models(manifest)
    connection.begin()
    for name in sorted(set(built)):
        connection.execute(
            "insert or replace into increments.built_models values (?, ?, ?, ?, ?, now() at time zone 'UTC')",
            [name, name in incremental, prints[name], seq, run_id],
        )
    connection.execute("delete from increments.event_changes where change_seq <= ?", [applied_seq(connection)])
    connection.commit()


def _is_incremental(node: Mapping[str, Any]) -> bool:
    return bool(node["config"]["materialized"] == "incremental")


def _is_ephemeral(node: Mapping[str, Any]) -> bool:
    """Whether a model is a part of the SQL of others, and never built."""
    return bool(node["config"]["materialized"] == "ephemeral")
